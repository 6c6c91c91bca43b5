use recached::cached;

#[cached(ttl = 60)]
fn name(text: &str) -> &str {
    text.trim()
}

fn main() {}
