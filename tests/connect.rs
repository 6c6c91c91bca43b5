//! Connecting to a server: required rights, TLS, and error messages.

mod connect {
    mod connecting;
    mod rights;
    mod tls;
}
