use recached::cached;

#[derive(Clone)]
struct User {
    id: u64,
}

#[cached(ttl = 60)]
async fn user(id: u64) -> Result<User, std::io::Error> {
    Ok(User { id })
}

#[cached(ttl = 60)]
fn user_now(id: u64) -> User {
    User { id }
}

fn main() {}
