use std::sync::Arc;

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use redis::{AsyncConnectionConfig, Cmd, ConnectionInfo, ProtocolVersion, Value};

use super::borrowed_connection::BorrowedConnection;
use super::checkout::Checkout;
#[cfg(feature = "cluster")]
use super::cluster_connect;
use super::cluster_layout::ClusterLayout;
use super::config::RedisConfig;
#[cfg(feature = "cluster")]
use super::driver_error::error_of_attempt;
use super::driver_error::{error_of, error_of_pool, is_refusal};
use super::greeting::refusal;
use super::push_handler::{PushHandler, on_push};
use super::topology::Topology;
use super::transport::Transport;
use super::url::unusable;
use crate::error::{Error, ErrorKind};

/// Capacity of the queue to the writer of one connection, in requests.
const QUEUE: usize = 1_024;

/// Source of the underlying connections of a [`Connection`](super::connection::Connection).
pub(super) struct ConnectionSource {
    config: Arc<RedisConfig>,
    push_handler: Arc<PushHandler>,
    /// Pools of a single server. `None` if each connection needs pools of its own.
    pools: Option<Pools>,
}

impl ConnectionSource {
    pub(super) fn new(
        config: &Arc<RedisConfig>,
        push_handler: &Arc<PushHandler>,
    ) -> Result<Self, Error> {
        // With a credentials callback, each connection may have another login and needs its own
        // pools.
        let pools = match &config.topology {
            Topology::One(server) if config.credentials.is_none() => {
                Some(Pools::new(server, config, push_handler)?)
            }
            _ => None,
        };
        Ok(Self {
            config: Arc::clone(config),
            push_handler: Arc::clone(push_handler),
            pools,
        })
    }

    /// Opens a connection. If `redirect` is set, the server sends the connection's pushes to the
    /// connection with this client id.
    ///
    /// # Errors
    ///
    /// Returns an error if no connection can be opened, or if the server cannot redirect the
    /// pushes.
    pub(super) async fn connect(
        &self,
        topology: &Topology,
        redirect: Option<i64>,
    ) -> Result<Checkout, Error> {
        match topology {
            Topology::One(server) => {
                let connected = match &self.pools {
                    Some(pools) => pools.connect(redirect).await,
                    None => self.pools(server)?.connect(redirect).await,
                };
                match connected {
                    Err(error) if error.kind() != ErrorKind::Server => {
                        Err(refusal(server).await.unwrap_or(error))
                    }
                    connected => connected,
                }
            }
            #[cfg(feature = "sentinel")]
            Topology::Sentinel(watched) => {
                let (server, failover_watcher) = watched.find().await?;
                let checkout = self.pools(&server)?.connect(redirect).await?;
                Ok(Checkout {
                    failover_watcher,
                    ..checkout
                })
            }
            #[cfg(feature = "cluster")]
            Topology::Cluster(nodes) => {
                let connected =
                    cluster_connect::connect(nodes, &self.config, &self.push_handler).await;
                let (connection, topology, tracking) =
                    connected.map_err(|error| error_of_attempt(&error))?;
                Ok(Checkout {
                    transport: Transport::Cluster(connection),
                    topology,
                    tracking,
                    id: None,
                    #[cfg(feature = "sentinel")]
                    failover_watcher: None,
                    _lent: None,
                })
            }
            Topology::ExternalPool(pool) => pool.connect().await,
        }
    }

    /// Returns the topology with the current login.
    pub(super) async fn topology(&self) -> Result<Topology, Error> {
        let topology = &self.config.topology;
        let topology = match &self.config.credentials {
            Some(ask) => topology.logged_in(&ask.ask().await?),
            None => topology.clone(),
        };
        #[cfg(feature = "sentinel")]
        if let Some(ask) = &self.config.sentinel_credentials {
            return Ok(topology.logged_in_at_sentinels(&ask.ask().await?));
        }
        Ok(topology)
    }

    fn pools(&self, server: &ConnectionInfo) -> Result<Pools, Error> {
        Pools::new(server, &self.config, &self.push_handler)
    }
}

/// Connections to one server: with pushes if the server speaks RESP3, otherwise without.
///
/// Each pool holds one connection, which stays checked out. All calls multiplex over it, because a
/// checkout costs a ping and would otherwise be needed for each call.
struct Pools {
    resp3: Pool,
    resp2: Pool,
}

impl Pools {
    fn new(
        server: &ConnectionInfo,
        config: &RedisConfig,
        push_handler: &Arc<PushHandler>,
    ) -> Result<Self, Error> {
        let driver_config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(Some(config.connect_timeout))
            .set_pipeline_buffer_size(QUEUE);
        let push_handler = Arc::clone(push_handler);
        let pushes = driver_config
            .clone()
            .set_push_sender(on_push(move || Some(Arc::clone(&push_handler))));
        let build = |driver_config, protocol| build(server, config, driver_config, protocol);
        Ok(Self {
            resp3: build(pushes, ProtocolVersion::RESP3)?,
            resp2: build(driver_config, ProtocolVersion::RESP2)?,
        })
    }

    async fn connect(&self, redirect: Option<i64>) -> Result<Checkout, Error> {
        if let Some(to) = redirect {
            let mut connection = self.resp3.get().await.map_err(error_of_pool)?;
            let mut tracking = tracking();
            tracking.arg("REDIRECT").arg(to);
            let tracked = tracking.query_async::<()>(&mut connection).await;
            tracked.map_err(|error| error_of(&error))?;
            return Ok(checkout(connection, true));
        }
        let connection = match self.resp3.get().await {
            Ok(mut connection) => {
                // Without NOLOOP, which also suppresses pushes about keys that expire or are
                // evicted while the server runs a command of this connection.
                match tracking().query_async::<()>(&mut connection).await {
                    Ok(()) => {
                        let id = id(&mut connection).await;
                        let checkout = checkout(connection, true);
                        return Ok(Checkout { id, ..checkout });
                    }
                    Err(error) if is_refusal(&error) => return Ok(checkout(connection, false)),
                    Err(error) => return Err(error_of(&error)),
                }
            }
            Err(PoolError::Backend(error)) if is_refusal(&error) => self.resp2.get().await,
            Err(error) => Err(error),
        };
        match connection {
            Ok(connection) => Ok(checkout(connection, false)),
            Err(error) => Err(error_of_pool(error)),
        }
    }
}

fn tracking() -> Cmd {
    let mut tracking = redis::cmd("CLIENT");
    tracking.arg("TRACKING").arg("ON");
    tracking
}

/// Returns the client id of this connection on the server. HELLO returns the id and needs no
/// permission.
async fn id(connection: &mut Connection) -> Option<i64> {
    let hello = redis::cmd("HELLO").query_async::<Value>(connection).await;
    field(hello.ok()?, "id")
}

/// Returns a number from the reply to HELLO.
pub(super) fn field(hello: Value, name: &str) -> Option<i64> {
    let pairs = match hello {
        Value::Map(pairs) => pairs,
        Value::Array(flat) => {
            let mut flat = flat.into_iter();
            std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect()
        }
        _ => return None,
    };
    pairs
        .into_iter()
        .find_map(|(key, value)| match (key, value) {
            (Value::BulkString(key), Value::Int(value)) if key == name.as_bytes() => Some(value),
            (Value::SimpleString(key), Value::Int(value)) if key == name => Some(value),
            _ => None,
        })
}

fn checkout(connection: Connection, tracking: bool) -> Checkout {
    let transport = Transport::One((*connection).clone());
    Checkout {
        tracking,
        ..Checkout::lent(
            transport,
            ClusterLayout::one(),
            BorrowedConnection::from(connection),
        )
    }
}

fn build(
    server: &ConnectionInfo,
    config: &RedisConfig,
    driver_config: AsyncConnectionConfig,
    protocol: ProtocolVersion,
) -> Result<Pool, Error> {
    let redis = server.redis_settings().clone().set_protocol(protocol);
    let server = server.clone().set_redis_settings(redis);
    let manager =
        Manager::new_with_config(server, driver_config).map_err(|error| unusable(&error))?;
    Pool::builder(manager)
        .max_size(1)
        .create_timeout(Some(config.connect_timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Error::new(ErrorKind::Config, error.to_string()))
}
