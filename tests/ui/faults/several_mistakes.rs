use recached::cached;

struct Users;

impl Users {
    #[cached(tll = 60, jitter = 2.0, lease_lease_wait = "soon", skip(db), key = "{a}{b}", lease = "1ms")]
    const fn user(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
