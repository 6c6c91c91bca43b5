use recached::cached;

#[cached(ttl = 60, skip(_))]
fn user(id: u64, _: &str) -> u64 {
    id
}

fn main() {}
