use recached::cached;

struct Shop {
    tenant: u64,
}

impl Shop {
    #[cached(ttl = 60, key = "user:{id}", tags("tenant:{self.tenant}", "user:{id}"))]
    async fn user(&self, id: u64) -> u64 {
        id + self.tenant
    }
}

fn main() {}
