use recached::cached;

#[cached(ttl = 60, skip(password), secret(password))]
async fn user(id: u64, password: &str) -> u64 {
    id + password.len() as u64
}

fn main() {}
