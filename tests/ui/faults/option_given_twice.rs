use recached::cached;

#[cached(ttl = 60, version = 1, ttl = "1m")]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
