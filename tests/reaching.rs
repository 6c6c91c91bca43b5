//! Reaching a server: what it must allow, how it is trusted, and what is said where it fails.

mod reaching {
    mod connecting;
    mod rights;
    mod tls;
}
