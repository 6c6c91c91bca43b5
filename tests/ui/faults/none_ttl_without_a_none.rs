use recached::cached;

#[cached(ttl = 60, none_ttl = "5s")]
async fn user(id: u64) -> Result<String, std::io::Error> {
    Ok(id.to_string())
}

fn main() {}
