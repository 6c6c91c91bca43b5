use recached::cached;

#[cached(ttl = 60)]
fn user(id: u64, #[cfg(any())] shard: u64) -> u64 {
    id
}

fn main() {}
