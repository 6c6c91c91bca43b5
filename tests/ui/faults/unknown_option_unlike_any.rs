use recached::cached;

#[cached(ttl = 60, color = "red")]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
