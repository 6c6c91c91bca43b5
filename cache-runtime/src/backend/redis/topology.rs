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
    /// One server.
    One(ConnectionInfo),
    /// A cluster, by some of its nodes.
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
    /// The sentinels, with a login of their own or with none.
    pub(super) sentinels: Vec<ConnectionInfo>,
    /// Name of the server at the sentinels.
    pub(super) name: String,
    /// Connection settings of the server without its address.
    pub(super) node: ConnectionInfo,
    #[cfg(feature = "tls")]
    pub(super) certificates: Option<TlsCertificates>,
}

impl Topology {
    /// Returns `true` if the server that is there may turn out to be the wrong one.
    pub(super) fn moves(&self) -> bool {
        match self {
            #[cfg(feature = "sentinel")]
            Self::Sentinel(_) => true,
            Self::ExternalPool(pool) => pool.moves(),
            _ => false,
        }
    }

    /// Returns `true` if one connection's pushes may be sent to another: those of a cluster's nodes
    /// would have to go node by node, and external pools have no tracking.
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

    /// Returns the topology with this login at the sentinels, if it has any.
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
        // In place of the url's.
        (None, Some(_)) => redis.set_username("default"),
        (None, None) => redis,
    };
    info.clone().set_redis_settings(redis)
}
