use recached::cached;

#[cached(ttl = 60, jiter = 0.1)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
