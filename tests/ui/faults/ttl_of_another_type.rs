use recached::cached;

const MINUTE: u64 = 60;

#[cached(ttl = MINUTE)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
