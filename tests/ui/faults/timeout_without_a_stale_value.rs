use recached::cached;

#[cached(ttl = 60, timeout = "200ms")]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
