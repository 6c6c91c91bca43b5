use recached::cached;

#[cached(ttl = 60, detached)]
fn user(id: u64) -> u64 {
    id
}

#[cached(ttl = 60, detached)]
async fn borrowing(name: &str) -> u64 {
    name.len() as u64
}

fn main() {}
