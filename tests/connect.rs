//! Reaching a server: what it must allow, how it is trusted, and what is said where it fails.

mod connect {
    mod connecting;
    mod rights;
    mod tls;
}
