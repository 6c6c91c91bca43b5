use recached::cached;
use serde::Serialize;

#[cached(ttl = 60, stale_while_revalidate = "1m")]
async fn user<T: Serialize + Send>(of: T) -> u64 {
    drop(of);
    1
}

fn main() {}
