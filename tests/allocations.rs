//! A near hit does not allocate.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use recached::{Cache, cached};

/// Runs a future without allocating.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

fn cache() -> &'static Cache {
    static CACHE: std::sync::LazyLock<Cache> = std::sync::LazyLock::new(|| {
        let cache = Cache::builder().in_process().build();
        cache.expect("nothing to go wrong")
    });
    &CACHE
}

#[cached(ttl = 60, cache = cache())]
async fn of_number(id: u64) -> Arc<u64> {
    Arc::new(id)
}

#[cached(ttl = 60, cache = cache())]
async fn of_texts(name: &str, language: Option<&str>, loud: bool) -> Arc<String> {
    Arc::new(format!("{name} {language:?} {loud}"))
}

#[cached(ttl = 60, cache = cache())]
fn of_many(a: i32, b: char, c: (u8, u16), d: [u8; 4]) -> Result<Arc<u64>, String> {
    Ok(Arc::new(
        u64::from(a.unsigned_abs()) + b as u64 + u64::from(c.1) + u64::from(d[0]),
    ))
}

#[cached(ttl = 60, cache = cache())]
async fn of_any<T: serde::Serialize + Sync>(value: &T) -> Arc<usize> {
    Arc::new(std::mem::size_of_val(value))
}

/// Number of allocations of `call` once its value is in the near cache.
fn allocations(call: impl Fn()) -> u64 {
    // The first call computes; the second may be the first to learn the generations.
    call();
    call();
    let hits = cache().stats().total.near_hits;
    let counted = measure(&call).count_total;
    assert_eq!(
        cache().stats().total.near_hits,
        hits + 1,
        "it was no near hit"
    );
    counted
}

#[test]
fn a_near_hit_allocates_nothing() {
    let of = |call: &dyn Fn()| allocations(call);
    assert_eq!(of(&|| drop(block_on(of_number(42)))), 0);
    assert_eq!(of(&|| drop(block_on(of_number(u64::MAX)))), 0);
    assert_eq!(of(&|| drop(block_on(of_texts("ada", Some("de"), true)))), 0);
    let inline = "a name of thirty-two characters!";
    assert_eq!(of(&|| drop(block_on(of_texts(inline, None, false)))), 0);
    assert_eq!(of(&|| drop(of_many(-1, 'x', (2, 3), [4; 4]))), 0);
    assert_eq!(of(&|| drop(block_on(of_any(&7u8)))), 0);
}
