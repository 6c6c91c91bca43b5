use recached::cached;

#[cached(ttl = 60)]
async fn send_mail(to: String) {
    drop(to);
}

#[cached(ttl = 60)]
fn send_now(to: String) {
    drop(to);
}

fn main() {}
