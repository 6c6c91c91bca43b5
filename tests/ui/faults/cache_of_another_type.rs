use recached::cached;

const NAME: &str = "sessions";

#[cached(ttl = 60, cache = NAME)]
fn session(id: u64) -> u64 {
    id
}

fn main() {}
