//! Topologies with more than one server: a cluster, a server behind sentinels, an external pool.

mod topology {
    mod cluster;
    mod links;
    mod logins;
    mod pool;
    mod primaries;
    mod rights;
    mod sentinel;
}
