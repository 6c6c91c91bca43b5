use recached::cached;

trait Users {
    #[cached(ttl = 60)]
    async fn user(&self, id: u64) -> u64;
}

fn main() {}
