use recached::cached;

#[cached(ttl = 60)]
const fn square(of: u64) -> u64 {
    of * of
}

fn main() {}
