use recached::cached;

#[cached(ttl = 60)]
async fn user(id: u64) -> Result<u64, std::num::ParseIntError> {
    let text: String = id;
    Ok(text.parse()?)
}

fn main() {}
