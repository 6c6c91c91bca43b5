use recached::cached;

#[cached(ttl = 60)]
fn users(of: u64) -> impl Iterator<Item = u64> {
    0..of
}

fn main() {}
