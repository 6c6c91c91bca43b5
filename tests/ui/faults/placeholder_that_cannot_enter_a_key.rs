use recached::cached;

struct Id(u64);

#[cached(ttl = 60, key = "user:{id}")]
fn user(id: Id) -> u64 {
    id.0
}

fn main() {}
