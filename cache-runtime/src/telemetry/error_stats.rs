use std::fmt;

use crate::error::ErrorKind;
use crate::telemetry::counter::Counter;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $kind:ident,)+) => {
        /// The live counters of failed operations, by kind.
        #[derive(Default)]
        pub(crate) struct ErrorCounters {
            $($name: Counter,)+
        }

        impl ErrorCounters {
            pub(crate) fn count(&self, kind: ErrorKind) {
                match kind {
                    $(ErrorKind::$kind => self.$name.count(),)+
                }
            }

            pub(crate) fn snapshot(&self) -> ErrorStats {
                ErrorStats { $($name: self.$name.get(),)+ }
            }
        }

        /// Operations of the cache that have failed, by [`ErrorKind`]; the calls got their result
        /// all the same.
        ///
        /// ```
        /// let errors = recached_runtime::ErrorStats::default();
        /// assert_eq!((errors.timeout, errors.total()), (0, 0));
        /// assert_eq!(errors.to_string(), "none");
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct ErrorStats {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl ErrorStats {
            /// Sum over all kinds.
            #[must_use]
            pub fn total(&self) -> u64 {
                [$(self.$name),+].iter().sum()
            }

            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }
        }

        impl fmt::Display for ErrorStats {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let kinds = [$((stringify!($name), self.$name)),+];
                let mut separator = "";
                for (name, count) in kinds.into_iter().filter(|(_, count)| *count > 0) {
                    write!(f, "{separator}{count} {}", name.replace('_', " "))?;
                    separator = ", ";
                }
                match separator {
                    "" => f.write_str("none"),
                    _ => Ok(()),
                }
            }
        }
    };
}

kinds! {
    /// A setting can't be used.
    config: Config,
    /// No connection to the server.
    unavailable: Unavailable,
    /// The server did not answer within the deadline.
    timeout: Timeout,
    /// More commands waited in this process for the server than it takes.
    overloaded: Overloaded,
    /// The server answered with an error, or held what nobody of ours has written.
    server: Server,
    /// An argument or a key text can't be made into a key.
    key: Key,
    /// A value can't be written in its codec.
    encode: Encode,
    /// Always zero: what is larger than `max_value_size` is counted as
    /// [`oversized`](crate::FunctionStats::oversized).
    oversized: Oversized,
    /// A stored value can't be read.
    decode: Decode,
    /// Two places use one function name.
    name_taken: NameTaken,
    /// A pattern can't be understood.
    pattern: Pattern,
    /// Another computation of the same call took longer than a caller waits for one.
    wait_exceeded: WaitExceeded,
}
