use recached::invalidates;

#[invalidates("user*", tag = "user:{uid}")]
async fn rename(id: u64) {
    let _ = id;
}

fn main() {}
