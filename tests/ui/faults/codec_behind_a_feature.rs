use recached::cached;

#[cached(ttl = 60, codec = "msgpack", compress)]
async fn user(id: u64) -> u64 {
    id
}

fn main() {}
