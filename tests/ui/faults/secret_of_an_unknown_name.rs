use recached::cached;

#[cached(ttl = 60, secret(pasword))]
async fn user(password: &str) -> usize {
    password.len()
}

fn main() {}
