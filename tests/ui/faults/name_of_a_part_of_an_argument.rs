use recached::cached;

#[cached(ttl = 60, key = "item:{id}", tags("item:{other}"))]
fn item((id, page): (u64, u64)) -> u64 {
    id + page
}

fn main() {
    item((1, 2));
}
