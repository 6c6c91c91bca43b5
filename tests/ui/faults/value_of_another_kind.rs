use recached::cached;

#[cached(60, ttl = 60, codec = json, name = user, skip("id"), entry = "cached_user")]
fn user(id: u64) -> u64 {
    id
}

fn main() {
    user(1);
}
