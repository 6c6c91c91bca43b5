use std::fmt;

use crate::error::ErrorKind;
use crate::telemetry::counter::Counter;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $kind:ident,)+) => {
        /// Live counters of failed operations, by kind of error.
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

        /// Number of failed operations of the cache, by [`ErrorKind`]. The calls still returned
        /// their results.
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
            /// Returns the sum over all kinds.
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
    /// A setting is not usable.
    config: Config,
    /// The cache had no connection to the server.
    unavailable: Unavailable,
    /// The server did not reply within the deadline.
    timeout: Timeout,
    /// Too many commands waited in this process to be sent to the server.
    overloaded: Overloaded,
    /// The server replied with an error, or held data that no process of the fleet has written.
    server: Server,
    /// An argument or a key text cannot be converted to a key.
    key: Key,
    /// A value cannot be encoded by its codec.
    encode: Encode,
    /// Always zero: values larger than `max_value_size` are counted as
    /// [`oversized`](crate::FunctionStats::oversized).
    oversized: Oversized,
    /// A stored value cannot be decoded.
    decode: Decode,
    /// Two functions have the same name.
    name_taken: NameTaken,
    /// A pattern is not valid.
    pattern: Pattern,
    /// Another computation of the same call took longer than the maximum wait of a caller.
    wait_exceeded: WaitExceeded,
}
