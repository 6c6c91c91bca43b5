use recached::{Storable, cached};

trait Row {}

type Fallible<T> = Result<T, String>;

#[cached(ttl = 60)]
async fn row<T: Row + Clone + Storable>(of: T) -> Fallible<T> {
    Ok(of)
}

fn main() {}
