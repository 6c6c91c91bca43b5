use recached::cached;

#[cached(ttl = 60)]
fn users(of: u64) -> u64 {
    of
}

struct Database;

impl Database {
    #[cached(ttl = 60)]
    fn users(of: u64) -> u64 {
        of * 2
    }
}

fn main() {}
