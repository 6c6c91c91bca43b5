use std::cell::Cell;
use std::rc::Rc;

use recached::cached;

struct NotCloned;

#[cached(ttl = 60, local)]
fn not_cloned(id: u64) -> Result<NotCloned, String> {
    let _ = id;
    Ok(NotCloned)
}

#[cached(ttl = 60, local)]
async fn not_shared(id: u64) -> Rc<Cell<u64>> {
    Rc::new(Cell::new(id))
}

#[cached(ttl = 60, local, near = false, codec = "json")]
fn written(id: u64) -> u64 {
    id
}

fn main() {}
