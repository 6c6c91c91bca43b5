//! No name of the user clashes with the code that the attributes generate.
#![deny(warnings, clippy::pedantic)]

/// A schema like that of diesel: unit structs and statics of every name.
mod schema {
    pub mod dsl {
        macro_rules! unit_structs {
            ($($name:ident)*) => { $(
                #[allow(non_camel_case_types, dead_code, reason = "as a schema module does it")]
                pub struct $name;
            )* };
        }
        unit_structs! {
            tag call arguments result returned key hit policy when near cache secret functions
            invalidations kind value run compute text field part probe first second share site
            here function success all named
        }
        #[allow(
            non_upper_case_globals,
            dead_code,
            reason = "as a schema module does it"
        )]
        pub static entry: u64 = 1;
    }
}

/// A blanket trait whose methods have the names of generated ones and other parameters.
mod blanket {
    macro_rules! methods {
        ($($name:ident)*) => {
            #[allow(
                dead_code,
                clippy::new_ret_no_self,
                clippy::wrong_self_convention,
                reason = "they are there to be taken for others"
            )]
            pub trait Condition: Sized {
                $(fn $name(self, _: bool, _: fn()) -> Never {
                    Never
                })*
            }
        };
    }
    #[allow(dead_code, reason = "nobody asks for it")]
    pub struct Never;
    methods! {
        when near near_tagged add add_secret arguments cache tag secret secret_field functions entry
        judge run run_blocking text field part is_success new jitter ttl none_ttl lease wait codec
        compress timeout stale_if_error stale_while_revalidate refresh_ahead retry_after near_ttl
        err_ttl is_no_result begin request settle user_now renamed kept
    }
    impl<T> Condition for T {}

    #[allow(dead_code, reason = "they are there to be taken for others")]
    pub trait Constants {
        const HEAD: u8 = 200;
        const SHARE: u8 = 200;
        const FORM: u8 = 200;
    }
    impl<T> Constants for T {}
}

/// Macros, modules and types with names that generated code may use.
#[allow(
    unused_macros,
    dead_code,
    reason = "they are there to be taken for others"
)]
#[macro_use]
mod shadows {
    macro_rules! line {
        ($($any:tt)*) => {
            compile_error!("the user's own")
        };
    }
    macro_rules! column {
        ($($any:tt)*) => {
            compile_error!("the user's own")
        };
    }
    macro_rules! file {
        ($($any:tt)*) => {
            compile_error!("the user's own")
        };
    }
    macro_rules! concat {
        ($($any:tt)*) => {
            compile_error!("the user's own")
        };
    }
    macro_rules! stringify {
        ($($any:tt)*) => {
            compile_error!("the user's own")
        };
    }
    macro_rules! kind {
        ($($any:tt)*) => {
            compile_error!("the user's own")
        };
    }
    macro_rules! share {
        ($($any:tt)*) => {
            compile_error!("the user's own")
        };
    }
    macro_rules! matches {
        ($($any:tt)*) => {
            compile_error!("the user's own")
        };
    }
}

mod annotated {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use recached::{cached, invalidates};

    #[allow(unused_imports, reason = "they are there to be taken for others")]
    use super::blanket::{Condition as _, Constants as _};
    #[allow(unused_imports, reason = "they are there to be taken for others")]
    use super::schema::dsl::*;

    static RUNS: AtomicU64 = AtomicU64::new(0);

    // Types and modules that generated code could refer to by mistake.
    #[allow(dead_code, reason = "they are there to be taken for others")]
    mod core {}
    #[allow(dead_code, reason = "they are there to be taken for others")]
    mod std_ {}
    type Second = u64;
    type Peel = u64;
    type Probe = u64;
    type Option<T> = ::std::option::Option<T>;
    #[allow(dead_code, reason = "it is there to be taken for another")]
    enum Shadow {
        Some,
        None,
    }
    #[allow(unused_imports, reason = "they are there to be taken for others")]
    use Shadow::{None, Some};
    const FIRST: usize = 2;

    #[cached(
        ttl = 60,
        jitter = 0.1,
        lease = "5s",
        lease_wait = "5s",
        near_ttl = "1m",
        bypass_if = id == 0,
        store_if = |of: &u64| *of > 0,
        tags("user:{id}", "all"),
        secret(token)
    )]
    pub(super) fn user_now(id: u64, token: &str, shared: Arc<str>) -> u64 {
        RUNS.fetch_add(1, Ordering::SeqCst);
        id + token.len() as u64 + shared.len() as u64
    }

    #[cached(
        ttl = 60,
        key = "renamed:{id}:{name}",
        stale_if_error = "1m",
        soft_timeout = "5s"
    )]
    pub(super) async fn renamed(id: u64, name: Arc<str>) -> Result<Second, String> {
        RUNS.fetch_add(1, Ordering::SeqCst);
        Ok(id + name.len() as u64)
    }

    #[cached(
        ttl = 60,
        none_ttl = "1s",
        retry_after = "1s",
        stale_while_revalidate = 1
    )]
    pub(super) async fn probed(id: Peel) -> Option<Probe> {
        Option::Some(id)
    }

    #[cached(ttl = 60, refresh_ahead = true, err_ttl = "1s")]
    pub(super) async fn failing(of: [u64; FIRST]) -> Result<[u64; FIRST], u64> {
        Err(of[0])
    }

    pub(super) struct Users(pub(super) u64);

    impl Users {
        #[cached(ttl = 60, skip(self))]
        pub(super) fn kept(&self, id: u64) -> u64 {
            RUNS.fetch_add(1, Ordering::SeqCst);
            id + self.0
        }

        #[invalidates("names.annotated.*", tag = "user:{id}", entry = self.kept_entry(id))]
        pub(super) fn forgets(&self, id: u64) -> Result<u64, u64> {
            Ok(id)
        }
    }

    #[invalidates(tag = "user:{name}", tag = "t:{r#type}", tag = "t:{type}")]
    pub(super) async fn change(name: Arc<str>, r#type: u8) -> u64 {
        u64::from(r#type) + name.len() as u64
    }

    pub(super) fn runs() -> u64 {
        RUNS.swap(0, Ordering::SeqCst)
    }
}

mod tests {
    use super::annotated::{Users, change, failing, probed, renamed, runs, user_now};

    #[test]
    fn functions_are_cached_beside_every_name() {
        for _ in 0..2 {
            assert_eq!(user_now(1, "ab", "abc".into()), 6);
        }
        assert_eq!(runs(), 1);
        for _ in 0..2 {
            assert_eq!(pollster::block_on(renamed(1, "a".into())), Ok(2));
            assert!(pollster::block_on(probed(1)).is_some());
            assert_eq!(pollster::block_on(failing([3, 4])), Err(3));
        }
        assert_eq!(runs(), 1);
        let users = Users(0);
        assert_eq!(users.kept(1) + users.kept(1), 2);
        assert_eq!(runs(), 1);
        assert_eq!(users.forgets(1), Ok(1));
        assert_eq!(users.kept(1) + user_now(1, "ab", "abc".into()), 7);
        assert_eq!(runs(), 2);
        assert_eq!(pollster::block_on(change("1".into(), 1)), 2);
        assert_eq!(user_now(1, "ab", "abc".into()), 6);
        assert_eq!(runs(), 1);
    }
}
