use recached::{cached, invalidates};

#[cached(ttl = 60)]
async fn user(id: u64) -> u64 {
    id
}

#[invalidates(entry = user(id))]
async fn rename(id: u64) {
    let _ = id;
}

fn main() {}
