use recached::cached;

#[cached(ttl = 60)]
fn hash(id: u64) -> [u8; 64] {
    [id as u8; 64]
}

#[cached(ttl = 60)]
async fn by_hash(hash: &[u8; 64]) -> Result<u8, String> {
    Ok(hash[0])
}

fn main() {}
