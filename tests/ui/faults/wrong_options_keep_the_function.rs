use recached::cached;

#[cached(ttl = 0, nam = "user")]
async fn user(id: u64) -> u64 {
    id
}

struct Users;

impl Users {
    #[cached(ttl = 60)]
    fn all(&self) -> Vec<u64> {
        vec![1]
    }
}

// Both are called: only their attributes are reported.
async fn both() -> (u64, Vec<u64>) {
    (user(1).await, Users.all())
}

fn main() {
    let _ = both();
}
