use redis::ConnectionInfo;
#[cfg(feature = "tls")]
use redis::TlsCertificates;

use super::external_pool::ExternalPool;
use crate::backend::redis::credentials::Credentials;
#[cfg(feature = "tls")]
use crate::error::{Error, ErrorKind};

/// The servers of a cache.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a cache has one")]
pub(crate) enum Topology {
    /// A single server.
    One(ConnectionInfo),
    /// A cluster, given by some of its nodes.
    #[cfg(feature = "cluster")]
    Cluster(Vec<ConnectionInfo>),
    /// The server that the sentinels name.
    #[cfg(feature = "sentinel")]
    Sentinel(Watched),
    /// The servers of an external pool.
    ExternalPool(ExternalPool),
}

/// A server whose address the sentinels know.
#[cfg(feature = "sentinel")]
#[derive(Clone)]
pub(crate) struct Watched {
    /// The sentinels, with their own login or with none.
    pub(super) sentinels: Vec<ConnectionInfo>,
    /// Name of the server in the configuration of the sentinels.
    pub(super) name: String,
    /// Connection settings of the server. The host and the port are placeholders.
    pub(super) node: ConnectionInfo,
    #[cfg(feature = "tls")]
    pub(super) certificates: Option<TlsCertificates>,
}

impl Topology {
    /// Returns `true` if the connected server may turn into a replica, so that its role must be
    /// checked.
    pub(super) fn moves(&self) -> bool {
        match self {
            #[cfg(feature = "sentinel")]
            Self::Sentinel(_) => true,
            Self::ExternalPool(pool) => pool.moves(),
            _ => false,
        }
    }

    /// Returns `true` if the pushes of one connection can be redirected to another. The nodes of a
    /// cluster would each need a redirection of their own, and external pools have no tracking.
    pub(super) fn can_redirect(&self) -> bool {
        match self {
            Self::One(_) => true,
            #[cfg(feature = "sentinel")]
            Self::Sentinel(_) => true,
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => false,
            Self::ExternalPool(_) => false,
        }
    }

    /// Returns the topology with this login.
    pub(super) fn logged_in(&self, credentials: &Credentials) -> Self {
        let login = |info: &ConnectionInfo| login(info, credentials);
        match self {
            Self::One(server) => Self::One(login(server)),
            #[cfg(feature = "cluster")]
            Self::Cluster(nodes) => Self::Cluster(nodes.iter().map(login).collect()),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(watched) => Self::Sentinel(Watched {
                node: login(&watched.node),
                ..watched.clone()
            }),
            Self::ExternalPool(pool) => Self::ExternalPool(pool.clone()),
        }
    }

    /// Returns the topology with this login for the sentinels, if there are any.
    #[cfg(feature = "sentinel")]
    pub(super) fn logged_in_at_sentinels(self, credentials: &Credentials) -> Self {
        match self {
            Self::Sentinel(watched) => {
                let sentinels = watched.sentinels.iter();
                let sentinels = sentinels.map(|info| login(info, credentials)).collect();
                Self::Sentinel(Watched {
                    sentinels,
                    ..watched
                })
            }
            other => other,
        }
    }

    /// Returns the topology with these certificates.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Config` if the URL is not a TLS URL, or if the certificates cannot be
    /// used.
    #[cfg(feature = "tls")]
    pub(crate) fn certified(self, certificates: &TlsCertificates) -> Result<Self, Error> {
        let certify = |info: ConnectionInfo| {
            if !matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
                return Err(Error::new(
                    ErrorKind::Config,
                    "there are certificates, and the redis url says nothing of TLS: write rediss://",
                ));
            }
            let client = redis::Client::build_with_tls(info, certificates.clone());
            let client = client.map_err(|error| {
                let detail = error.detail().unwrap_or_default();
                let why = format!(
                    "the certificates can't be used: {} {detail}",
                    error.category()
                );
                Error::new(ErrorKind::Config, why)
            })?;
            Ok(client.get_connection_info().clone())
        };
        match self {
            Self::One(server) => certify(server).map(Self::One),
            #[cfg(feature = "cluster")]
            Self::Cluster(nodes) => {
                let nodes = nodes.into_iter().map(certify);
                nodes.collect::<Result<_, _>>().map(Self::Cluster)
            }
            #[cfg(feature = "sentinel")]
            Self::Sentinel(watched) => {
                let sentinels = watched.sentinels.into_iter().map(certify);
                Ok(Self::Sentinel(Watched {
                    sentinels: sentinels.collect::<Result<_, _>>()?,
                    node: certify(watched.node)?,
                    certificates: Some(certificates.clone()),
                    ..watched
                }))
            }
            Self::ExternalPool(pool) => Ok(Self::ExternalPool(pool)),
        }
    }
}

fn login(info: &ConnectionInfo, credentials: &Credentials) -> ConnectionInfo {
    let redis = info.redis_settings().clone();
    let redis = redis.set_password(&credentials.password);
    let redis = match (&credentials.user, redis.username()) {
        (Some(user), _) => redis.set_username(user),
        // Replaces the user of the URL.
        (None, Some(_)) => redis.set_username("default"),
        (None, None) => redis,
    };
    info.clone().set_redis_settings(redis)
}
