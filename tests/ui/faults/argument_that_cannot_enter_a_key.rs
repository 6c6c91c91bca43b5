use recached::cached;

struct Database;

#[cached(ttl = 60)]
async fn user(id: u64, db: &Database) -> u64 {
    let _ = db;
    id
}

fn main() {}
