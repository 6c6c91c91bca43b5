//! Lints report the same for an annotated function as for a plain one.
#![deny(warnings, clippy::pedantic)]

use recached::{cached, invalidates};

#[expect(dead_code)]
#[cached(ttl = 60)]
fn nobody_calls(id: u64) -> u64 {
    id
}

#[cached(ttl = 60)]
#[expect(dead_code)]
async fn nobody_awaits(id: u64) -> u64 {
    id
}

#[expect(unused)]
#[cached(ttl = 60, entry = false)]
fn nobody_calls_alone(id: u64) -> u64 {
    id
}

#[expect(dead_code)]
#[invalidates("*")]
fn nobody_forgets(id: u64) -> u64 {
    id
}

#[expect(dead_code, reason = "it is kept for the next release")]
#[invalidates("*")]
async fn nobody_awaits_this(id: u64) -> u64 {
    id
}

#[expect(dead_code)]
#[deprecated]
#[cached(ttl = 60)]
fn nobody_calls_any_more(id: u64) -> u64 {
    id
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Users(u64);

impl Users {
    #[expect(dead_code)]
    #[cached(ttl = 60, skip(self))]
    fn nobody_calls(&self, id: u64) -> u64 {
        id + self.0
    }

    #[expect(dead_code)]
    #[cached(ttl = 60, skip(self), entry = false)]
    async fn nobody_calls_alone(&self, id: u64) -> u64 {
        id + self.0
    }

    #[expect(dead_code)]
    #[invalidates("*")]
    fn nobody_forgets(&self, id: u64) -> u64 {
        id + self.0
    }

    #[expect(dead_code)]
    #[cached(ttl = 60)]
    fn nobody_makes(id: u64) -> Vec<Self> {
        vec![Self(id)]
    }
}
