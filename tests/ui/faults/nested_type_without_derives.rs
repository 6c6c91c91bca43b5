use recached::cached;

#[derive(Clone)]
struct User {
    id: u64,
}

#[cached(ttl = 60)]
async fn users(id: u64) -> Result<Vec<User>, std::io::Error> {
    Ok(vec![User { id }])
}

#[cached(ttl = 60)]
async fn user(id: u64) -> Option<User> {
    Some(User { id })
}

fn main() {}
