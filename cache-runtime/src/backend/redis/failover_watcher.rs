use std::time::Duration;

use deadpool::managed::Manager as _;
use deadpool_redis::sentinel::Pool;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, RedisResult};
use tokio::time::timeout;

use super::driver_error::is_answer;
use super::health::ServerAddress;

/// How long the sentinels are waited for; then they are asked the next time, another one first.
const PATIENCE: Duration = Duration::from_millis(250);

/// Looks whether the sentinels still name the server that we are connected to.
///
/// One that they have replaced may not know it: cut off from them, or just thawed, it calls itself
/// the primary, while others invalidate on the one that came after.
pub(super) struct FailoverWatcher {
    /// The server, as it was named.
    named: ServerAddress,
    way: SentinelRoute,
}

/// How the sentinels are asked.
enum SentinelRoute {
    /// On a connection of our own.
    Direct(Direct),
    /// By the pool that our connection is of.
    Pool(Pool),
}

struct Direct {
    sentinels: Vec<ConnectionInfo>,
    /// What they call the server.
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
            way: SentinelRoute::Direct(Direct {
                sentinels,
                name: name.to_owned(),
                sentinel: None,
            }),
        }
    }

    /// Nothing if the server that they name does not say who it is.
    pub(super) async fn of_pool(pool: &Pool) -> RedisResult<Option<Self>> {
        let named = named_by(pool).await?;
        Ok(named.map(|named| Self {
            named,
            way: SentinelRoute::Pool(pool.clone()),
        }))
    }

    /// The server, as it was named.
    pub(super) fn named(&self) -> &ServerAddress {
        &self.named
    }

    /// Whether each link may look for itself.
    pub(super) fn is_cheap(&self) -> bool {
        match self.way {
            SentinelRoute::Direct(_) => true,
            // A pool connects to the server that they name.
            SentinelRoute::Pool(_) => false,
        }
    }

    /// Whether another is named. While no sentinel answers, none is.
    pub(super) async fn names_another(&mut self) -> bool {
        let named = match &mut self.way {
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

/// A pool does not tell which server its sentinels name; the server itself does.
async fn named_by(pool: &Pool) -> RedisResult<Option<ServerAddress>> {
    let mut fresh = pool.manager().create().await?;
    identity(&mut fresh).await
}

/// Which server this is: another after each start. Nothing if it does not tell.
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
