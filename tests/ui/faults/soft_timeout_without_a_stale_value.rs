use recached::cached;

#[cached(ttl = 60, soft_soft_timeout = "200ms")]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
