use recached::cached;

#[cached(ttl = 60, retry_after = "1s")]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
