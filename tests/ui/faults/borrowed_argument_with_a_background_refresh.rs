use recached::cached;

#[cached(ttl = 60, stale_while_revalidate = "1m")]
async fn user(id: u64, name: &str) -> String {
    format!("{id}{name}")
}

struct Users;

impl Users {
    #[cached(ttl = 60, refresh_ahead = true, skip(self))]
    async fn user(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
