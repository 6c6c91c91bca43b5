use recached::cached;

#[cached(ttl = 60, skip(database))]
async fn user(id: u64, db: &str) -> u64 {
    id
}

fn main() {}
