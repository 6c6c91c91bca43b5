use recached::cached;

#[cached(ttl = 60, err_ttl = "1s")]
async fn user(id: u64) -> Result<u64, std::io::Error> {
    Ok(id)
}

fn main() {}
