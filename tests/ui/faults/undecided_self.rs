use recached::cached;

struct Users {
    tenant: String,
}

impl Users {
    #[cached(ttl = 60)]
    async fn user(&self, id: u64) -> String {
        format!("{}:{id}", self.tenant)
    }
}

fn main() {}
