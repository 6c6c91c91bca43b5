use recached::cached;

#[cached(ttl = 60)]
#[cached(ttl = "1h", name = "slow")]
fn user(id: u64) -> u64 {
    id
}

fn main() {}
