use recached::cached;

#[cached(ttl = 0)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
