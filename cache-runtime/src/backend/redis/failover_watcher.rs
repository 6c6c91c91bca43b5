use std::time::Duration;

use deadpool::managed::Manager as _;
use deadpool_redis::sentinel::Pool;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, RedisResult};
use tokio::time::timeout;

use super::driver_error::is_answer;
use super::health::ServerAddress;

/// Longest wait for the sentinels. After it, the next check asks again, beginning with a random
/// sentinel.
const PATIENCE: Duration = Duration::from_millis(250);

/// Checks if the sentinels still name the connected server.
///
/// A server that the sentinels have replaced may not know it: cut off from the sentinels, or just
/// resumed after a freeze, the server calls itself the primary while other processes send
/// invalidations to its successor.
pub(super) struct FailoverWatcher {
    /// Server, as it was named.
    named: ServerAddress,
    session: SentinelRoute,
}

/// Route of requests to the sentinels.
enum SentinelRoute {
    /// On a connection of the watcher's own.
    Direct(Direct),
    /// Through the pool that the connection was checked out of.
    Pool(Pool),
}

struct Direct {
    sentinels: Vec<ConnectionInfo>,
    /// Name of the server in the configuration of the sentinels.
    name: String,
    sentinel: Option<MultiplexedConnection>,
}

impl FailoverWatcher {
    pub(super) fn new(
        sentinels: Vec<ConnectionInfo>,
        name: &str,
        (host, port): (&str, u16),
    ) -> Self {
        Self {
            named: place(host, port),
            session: SentinelRoute::Direct(Direct {
                sentinels,
                name: name.to_owned(),
                sentinel: None,
            }),
        }
    }

    /// Creates a watcher for a pool. Returns `None` if the server that the sentinels name does not
    /// report its run id.
    pub(super) async fn of_pool(pool: &Pool) -> RedisResult<Option<Self>> {
        let named = named_by(pool).await?;
        Ok(named.map(|named| Self {
            named,
            session: SentinelRoute::Pool(pool.clone()),
        }))
    }

    /// Returns the server, as it was named.
    pub(super) fn named(&self) -> &ServerAddress {
        &self.named
    }

    /// Returns `true` if a check is cheap enough to run on each connection.
    pub(super) fn is_cheap(&self) -> bool {
        match self.session {
            SentinelRoute::Direct(_) => true,
            // A pool connects to the server that the sentinels name.
            SentinelRoute::Pool(_) => false,
        }
    }

    /// Returns `true` if the sentinels name another server, and `false` if no sentinel replies.
    pub(super) async fn names_another(&mut self) -> bool {
        let named = match &mut self.session {
            SentinelRoute::Direct(direct) => {
                let named = timeout(PATIENCE, direct.ask()).await;
                if !matches!(named, Ok(Ok(_))) {
                    direct.sentinel = None;
                }
                named
            }
            SentinelRoute::Pool(pool) => timeout(PATIENCE, named_by(pool)).await,
        };
        matches!(named, Ok(Ok(Some(named))) if named != self.named)
    }
}

fn place(host: &str, port: u16) -> ServerAddress {
    format!("{host}:{port}")
}

/// Returns the server that the sentinels of a pool name. A pool does not expose the name, so the
/// server itself is asked.
async fn named_by(pool: &Pool) -> RedisResult<Option<ServerAddress>> {
    let mut fresh = pool.manager().create().await?;
    identity(&mut fresh).await
}

/// Returns the run id of the server, which changes with each start, or `None` if the server does
/// not report one.
pub(super) async fn identity(
    connection: &mut MultiplexedConnection,
) -> RedisResult<Option<ServerAddress>> {
    let mut info = redis::cmd("INFO");
    match info.arg("server").query_async::<String>(connection).await {
        Ok(info) => {
            let mut lines = info.lines();
            Ok(lines.find_map(|line| Some(line.strip_prefix("run_id:")?.trim().to_owned())))
        }
        Err(error) if is_answer(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Direct {
    async fn ask(&mut self) -> RedisResult<Option<ServerAddress>> {
        let sentinel = match &mut self.sentinel {
            Some(sentinel) => sentinel,
            None => {
                let connected = self.connect().await?;
                self.sentinel.insert(connected)
            }
        };
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let named: Option<(String, u16)> = ask.query_async(sentinel).await?;
        Ok(named.map(|(host, port)| place(&host, port)))
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let info = self.sentinels[fastrand::usize(..self.sentinels.len())].clone();
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let client = Client::open(info)?;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }
}
