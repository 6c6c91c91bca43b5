use recached::cached;

#[cached(ttl = "1 hourr")]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
