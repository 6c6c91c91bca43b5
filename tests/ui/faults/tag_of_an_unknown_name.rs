use recached::cached;

#[cached(ttl = 60, tags("user:{uid}"))]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
