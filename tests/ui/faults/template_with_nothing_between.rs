use recached::cached;

#[cached(ttl = 60, key = "user:{tenant}{id}")]
async fn user(id: u64, tenant: &str) -> u64 {
    id
}

fn main() {}
