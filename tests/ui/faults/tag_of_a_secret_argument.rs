use recached::cached;

#[cached(ttl = 60, secret(token), tags("of:{token}"))]
async fn user(token: &str) -> usize {
    token.len()
}

fn main() {}
