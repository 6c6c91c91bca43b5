use recached::cached;

struct Query {
    page: u64,
}

#[cached(ttl = 60, key = "search:{query.pag}")]
async fn search(query: Query) -> u64 {
    query.page
}

fn main() {}
