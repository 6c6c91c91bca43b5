use recached::cached;

#[cached(ttl = 60, near = false, near_ttl = "1s")]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
