use recached::cached;

#[cached(ttl = 60)]
fn user(id: u64) -> impl Future<Output = Option<u64>> + Send {
    async move { Some(id) }
}

fn main() {}
