use recached::cached;

#[cached(ttl = 60, skip(tenant), tags("tenant:{tenant}"))]
async fn user(id: u64, tenant: u64) -> u64 {
    id + tenant
}

fn main() {}
