use recached::cached;

#[cached(time = 60)]
fn user(id: u64) -> u64 {
    id
}

fn main() {}
