//! Beyond one server: a cluster, a server that sentinels watch over, a pool of the program's own.

mod topology {
    mod cluster;
    mod links;
    mod logins;
    mod pool;
    mod primaries;
    mod rights;
    mod sentinel;
}
