use recached::cached;

#[cached(ttl = 60, err_ttl = "1s")]
fn user(id: u64) -> u64 {
    id
}

fn main() {}
