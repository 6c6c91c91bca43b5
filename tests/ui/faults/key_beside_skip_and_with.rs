use recached::cached;

#[cached(ttl = 60, key = "user:{id}", skip(db), with(db.len()))]
async fn user(id: u64, db: &str) -> u64 {
    id
}

fn main() {}
