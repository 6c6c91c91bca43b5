use recached::cached;

#[cached(ttl = 60, key = "item:{id}", secret(token))]
fn item(id: u64, token: String) -> u64 {
    id + token.len() as u64
}

fn main() {
    item(1, String::new());
}
