use recached::cached;

#[cached(ttl = 60, skip(db, db), tags("all", "all"), with())]
fn user(db: String, id: u64) -> u64 {
    id + db.len() as u64
}

fn main() {
    user(String::new(), 1);
}
