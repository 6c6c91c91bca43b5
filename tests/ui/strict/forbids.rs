//! Annotated functions compile like plain ones when lints are forbidden and cannot be allowed. This
//! is a library, in which nothing public is dead code.
#![forbid(warnings)]
#![forbid(
    dead_code,
    deprecated,
    unused,
    unreachable_pub,
    unused_qualifications,
    unused_results
)]
#![forbid(clippy::all, clippy::pedantic)]
#![forbid(non_ascii_idents, unsafe_code, missing_debug_implementations)]

use std::sync::Arc;

use recached::{cached, invalidates};

#[cached(ttl = 60)]
pub fn number(id: u64) -> u64 {
    id
}

/// # Errors
///
/// Never.
#[cached(ttl = 60)]
pub async fn text(name: &str) -> Result<String, String> {
    Ok(name.to_owned())
}

#[cached(ttl = 60)]
pub fn sum((a, b): (u64, u64)) -> u64 {
    a + b
}

#[cached(ttl = 60)]
pub fn ignored(_: u64, x: u64) -> u64 {
    x
}

#[cached(ttl = 60)]
pub fn unused(_x: u64, _: &str, (_, _y): (u64, u64)) -> u64 {
    7
}

#[cached(ttl = 60, skip(_x))]
pub async fn skipped(_x: u64, y: u64) -> u64 {
    y
}

#[cached(ttl = 60)]
pub fn array([a, b]: [u64; 2]) -> u64 {
    a + b
}

#[cached(ttl = 60)]
pub async fn patterns(
    &a: &u64,
    whole @ (_, b): (u64, u64),
    Pair { c, .. }: Pair,
    ref d: u64,
) -> u64 {
    a + whole.0 + b + c + *d
}

#[cached(ttl = 60)]
pub fn changed(mut of: u64, (mut a, b): (u64, u64)) -> u64 {
    of += 1;
    a += b;
    of + a
}

#[cached(ttl = 60)]
pub fn unit(_: ()) -> Option<Arc<str>> {
    None
}

#[cached(ttl = 60, key = "of:{_id}:{type}:{pair.c}")]
pub fn keyed(_id: u64, r#type: u8, pair: Pair) -> u64 {
    u64::from(r#type) + pair.d
}

#[cached(ttl = 60, tags("t:{_id}"), stale_while_revalidate = 60, skip(_held))]
pub async fn held(_id: u64, _held: Arc<u64>) -> Vec<u64> {
    Vec::new()
}

/// Calls the private functions, which have no other caller.
#[must_use]
pub fn calls() -> u64 {
    private(1) + private_sum((1, 2))
}

#[cached(ttl = 60)]
fn private(id: u64) -> u64 {
    id
}

#[cached(ttl = 60)]
fn private_sum((a, b): (u64, u64)) -> u64 {
    a + b
}

#[deprecated = "there is another"]
#[cached(ttl = 60)]
#[must_use]
pub fn old(id: u64) -> u64 {
    id
}

#[cached(ttl = 60)]
#[deprecated]
pub async fn older(id: u64, (a, _): (u64, u64)) -> u64 {
    id + a
}

#[cfg_attr(all(), deprecated)]
#[cached(ttl = 60)]
#[must_use]
pub fn oldest<T: Into<u64> + Send>(id: u64, of: &str) -> u64
where
    u64: From<T>,
{
    id + of.len() as u64
}

#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub c: u64,
    pub d: u64,
}

impl serde::Serialize for Pair {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq([self.c, self.d])
    }
}

#[derive(Debug)]
pub struct Users;

impl Users {
    #[cached(ttl = 60, skip(self))]
    pub fn of(&self, id: u64) -> u64 {
        id
    }

    #[cached(ttl = 60, skip(self))]
    #[deprecated]
    #[must_use]
    pub fn old(&self, id: u64) -> u64 {
        id
    }

    #[cached(ttl = 60, with(self.name()))]
    pub async fn shared(self: Arc<Self>, _unused: u64) -> u64 {
        1
    }

    fn name(&self) -> u64 {
        let _ = self;
        1
    }

    #[invalidates(tag = "t:{id}")]
    #[must_use]
    pub fn forget(&self, id: u64, _: u64) -> u64 {
        id
    }
}

pub trait Reader {
    fn read(&self, id: u64) -> u64;

    #[cached(ttl = 60, skip(self))]
    fn provided(&self, id: u64) -> u64 {
        id
    }
}

impl Reader for Users {
    #[cached(ttl = 60, skip(self), entry = false)]
    fn read(&self, _id: u64) -> u64 {
        1
    }
}
