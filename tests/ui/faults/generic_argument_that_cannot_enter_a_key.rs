use recached::cached;

#[cached(ttl = 60)]
async fn user<T: Send>(id: u64, of: T) -> u64 {
    drop(of);
    id
}

fn main() {}
