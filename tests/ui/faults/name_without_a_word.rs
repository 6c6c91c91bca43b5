use recached::cached;

#[cached(ttl = 60, name = "..")]
fn user(id: u64) -> u64 {
    id
}

fn main() {}
