use recached::cached;

#[cached(ttl = 60)]
fn read(path: &str, buffer: &mut Vec<u8>) -> usize {
    buffer.extend(path.as_bytes());
    buffer.len()
}

#[cached(ttl = 60, key = "of:{buffer}")]
fn read_by_key(path: &str, buffer: Option<&mut Vec<u8>>) -> usize {
    path.len() + buffer.map_or(0, |buffer| buffer.len())
}

fn main() {}
