use recached::cached;

trait Users {
    fn user(&self, id: u64) -> u64;
}

struct Database;

impl Users for Database {
    #[cached(ttl = 60, skip(self))]
    fn user(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
