use recached::cached;

#[cached(ttl = 60, key = "repository:{owner}/{name}")]
async fn stars(owner: &str, name: &str) -> usize {
    owner.len() + name.len()
}

fn main() {}
