use recached::invalidates;

#[invalidates("user:{id}")]
async fn rename(id: u64) {
    let _ = id;
}

fn main() {}
