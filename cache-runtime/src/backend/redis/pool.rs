use std::sync::Arc;

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime, TimeoutType};
use redis::aio::AsyncPushSender;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, ProtocolVersion, PushInfo, RedisError, Value,
};

#[cfg(feature = "cluster")]
use super::cluster;
use super::cluster_layout::ClusterLayout;
use super::config::RedisConfig;
use super::external_pool::BorrowedConnection;
#[cfg(feature = "sentinel")]
use super::failover_watcher::FailoverWatcher;
use super::greeting::refusal;
use super::health;
use super::push_handler::PushHandler;
use super::topology::Topology;
use super::transport::Transport;
use super::url::unusable;
use crate::error::{Error, ErrorKind};

/// Requests on their way to one connection's writer at most; more wait their turn.
const QUEUE: usize = 1_024;

/// Builds a link's connections.
pub(super) struct ConnectionSource {
    settings: Arc<RedisConfig>,
    inbox: Arc<PushHandler>,
    /// Of the one server.
    pools: Option<Pools>,
}

impl Checkout {
    /// The server, where it is one that sentinels have named.
    pub(super) fn place(&self) -> Option<&health::ServerAddress> {
        #[cfg(feature = "sentinel")]
        return self.lookout.as_ref().map(FailoverWatcher::named);
        #[cfg(not(feature = "sentinel"))]
        None
    }

    /// One whose server tells of nothing.
    pub(super) fn lent(wire: Transport, topology: ClusterLayout, lent: BorrowedConnection) -> Self {
        Self {
            wire,
            topology,
            tracking: false,
            id: None,
            #[cfg(feature = "sentinel")]
            lookout: None,
            _lent: Some(lent),
        }
    }
}

/// A connection that stays checked out, and whether its server tells of what is read on it.
pub(super) struct Checkout {
    pub(super) wire: Transport,
    /// Where its servers are.
    pub(super) topology: ClusterLayout,
    pub(super) tracking: bool,
    /// What the server calls it, if pushes come to it.
    pub(super) id: Option<i64>,
    #[cfg(feature = "sentinel")]
    pub(super) lookout: Option<FailoverWatcher>,
    _lent: Option<BorrowedConnection>,
}

impl ConnectionSource {
    pub(super) fn new(
        settings: &Arc<RedisConfig>,
        inbox: &Arc<PushHandler>,
    ) -> Result<Self, Error> {
        // With a login of its own for each connection, a pool for each.
        let pools = match &settings.target {
            Topology::One(server) if settings.credentials.is_none() => {
                Some(Pools::new(server, settings, inbox)?)
            }
            _ => None,
        };
        Ok(Self {
            settings: Arc::clone(settings),
            inbox: Arc::clone(inbox),
            pools,
        })
    }

    /// A fresh connection to where [`target`](Self::target) leads. Its pushes go to another one, if
    /// that is named; where they can't, it is an error.
    pub(super) async fn connect(
        &self,
        target: &Topology,
        redirect: Option<i64>,
    ) -> Result<Checkout, Error> {
        match target {
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
                let (server, lookout) = watched.find().await?;
                let checkout = self.pools(&server)?.connect(redirect).await?;
                Ok(Checkout {
                    lookout,
                    ..checkout
                })
            }
            #[cfg(feature = "cluster")]
            Topology::Cluster(nodes) => {
                let connected = cluster::connect(nodes, &self.settings, &self.inbox).await;
                let (connection, topology, tracking) =
                    connected.map_err(|error| error_of_attempt(&error))?;
                Ok(Checkout {
                    wire: Transport::Cluster(connection),
                    topology,
                    tracking,
                    id: None,
                    #[cfg(feature = "sentinel")]
                    lookout: None,
                    _lent: None,
                })
            }
            Topology::ExternalPool(pool) => pool.connect().await,
        }
    }

    /// With the login of this moment.
    pub(super) async fn target(&self) -> Result<Topology, Error> {
        let target = &self.settings.target;
        let target = match &self.settings.credentials {
            Some(ask) => target.logged_in(&ask.ask().await?),
            None => target.clone(),
        };
        #[cfg(feature = "sentinel")]
        if let Some(ask) = &self.settings.sentinel_credentials {
            return Ok(target.logged_in_at_sentinels(&ask.ask().await?));
        }
        Ok(target)
    }

    fn pools(&self, server: &ConnectionInfo) -> Result<Pools, Error> {
        Pools::new(server, &self.settings, &self.inbox)
    }
}

/// Hears what a connection is pushed, in its reader.
pub(super) fn hears(
    inbox: impl Fn() -> Option<Arc<PushHandler>> + Send + Sync + 'static,
) -> impl AsyncPushSender {
    move |push: PushInfo| {
        let Some(inbox) = inbox() else { return Ok(()) };
        // What is dropped in there may be a user's value: its panic must not end the reader.
        let receive = std::panic::AssertUnwindSafe(|| inbox.receive(&push));
        if std::panic::catch_unwind(receive).is_err() {
            inbox.forget_everything();
        }
        Ok::<(), std::convert::Infallible>(())
    }
}

/// Connections to one server: with pushes where it has RESP3, without elsewhere.
///
/// Pools of one: every call multiplexes over the connection that its link keeps checked out,
/// because a checkout per call costs a ping each time.
struct Pools {
    resp3: Pool,
    resp2: Pool,
}

impl Pools {
    fn new(
        server: &ConnectionInfo,
        settings: &RedisConfig,
        inbox: &Arc<PushHandler>,
    ) -> Result<Self, Error> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(Some(settings.connect_timeout))
            .set_pipeline_buffer_size(QUEUE);
        let inbox = Arc::clone(inbox);
        let pushes = config
            .clone()
            .set_push_sender(hears(move || Some(Arc::clone(&inbox))));
        let build = |config, protocol| build(server, settings, config, protocol);
        Ok(Self {
            resp3: build(pushes, ProtocolVersion::RESP3)?,
            resp2: build(config, ProtocolVersion::RESP2)?,
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
                // Without NOLOOP: under it a server is silent too about keys that expire or are
                // evicted while it runs a command of ours.
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

/// What the server calls this connection. HELLO tells, which takes no right of its own.
async fn id(connection: &mut Connection) -> Option<i64> {
    let hello = redis::cmd("HELLO").query_async::<Value>(connection).await;
    field(hello.ok()?, "id")
}

/// A number in what HELLO says.
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
    let wire = Transport::One((*connection).clone());
    Checkout {
        tracking,
        ..Checkout::lent(
            wire,
            ClusterLayout::one(),
            BorrowedConnection::from(connection),
        )
    }
}

fn build(
    server: &ConnectionInfo,
    settings: &RedisConfig,
    config: AsyncConnectionConfig,
    protocol: ProtocolVersion,
) -> Result<Pool, Error> {
    let redis = server.redis_settings().clone().set_protocol(protocol);
    let server = server.clone().set_redis_settings(redis);
    let manager = Manager::new_with_config(server, config).map_err(|error| unusable(&error))?;
    Pool::builder(manager)
        .max_size(1)
        .create_timeout(Some(settings.connect_timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Error::new(ErrorKind::Config, error.to_string()))
}

/// The error of whoever gets no connection.
pub(super) fn error_of_pool(error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => error_of_attempt(&error),
        // The pool's clock may be ahead of the driver's and of the link's.
        PoolError::Timeout(TimeoutType::Create) => Error::new(
            ErrorKind::Timeout,
            format!("no connection in time; {SILENT}"),
        ),
        error => Error::new(ErrorKind::Unavailable, error.to_string()),
    }
}

/// The server is there, whatever it says; except that it wants another login.
pub(super) fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(_)) && error.code() != Some("NOAUTH")
}

/// The server answered, and does not do what was asked: an older protocol, a proxy.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    let for_now = error.code() == Some("LOADING")
        || error
            .detail()
            .is_some_and(|why| why.contains("number of clients"));
    matches!(error.kind(), redis::ErrorKind::Server(_)) && !for_now
        || matches!(error.kind(), redis::ErrorKind::RESP3NotSupported)
}

/// What a caller may see of a driver's error: category and code, never data.
pub(super) fn error_of(error: &RedisError) -> Error {
    let kind = match error.kind() {
        redis::ErrorKind::Server(_) | redis::ErrorKind::Extension => ErrorKind::Server,
        _ if error.is_timeout() => ErrorKind::Timeout,
        _ => ErrorKind::Unavailable,
    };
    let message = match (error.code(), error.is_io_error()) {
        (Some("NOAUTH"), _) => {
            "redis wants a login: write redis://user:password@host, or give `credentials`"
                .to_owned()
        }
        (Some("WRONGPASS"), _) => WRONG_LOGIN.to_owned(),
        (None, _) if error.kind() == redis::ErrorKind::AuthenticationFailed => {
            WRONG_LOGIN.to_owned()
        }
        (Some(code), _) => {
            // `unknown command 'GET', with args beginning with: …` quotes keys.
            let detail = error.detail().unwrap_or("no detail");
            let (detail, _) = detail.split_once(", with args").unwrap_or((detail, ""));
            let fix = match code {
                "MOVED" => ": it is a node of a cluster: write redis+cluster://",
                _ if detail.starts_with("DB index") => ": see the number at the end of the url",
                _ => "",
            };
            format!("redis answered {code}: {detail}{fix}")
        }
        (None, true) => format!("{error}"),
        (None, false) if error.kind() == redis::ErrorKind::Parse => {
            "what answers there is no redis server, or something in between changes its words"
                .to_owned()
        }
        #[cfg(feature = "sentinel")]
        (None, false) if error.kind() == redis::ErrorKind::MasterNameNotFoundBySentinel => {
            "the sentinels know no server by the name in the url, or none that is a primary now"
                .to_owned()
        }
        // The driver asks a sentinel for its role.
        #[cfg(feature = "sentinel")]
        (None, false) if error.kind() == redis::ErrorKind::InvalidClientConfig => {
            "what answers there is no sentinel".to_owned()
        }
        (None, false) => error.category().to_owned(),
    };
    let known = Error::new(kind, message);
    match error.code() {
        Some(code) if FOR_NOW.contains(&code) => known.for_now(),
        _ => known,
    }
}

const WRONG_LOGIN: &str = "redis answered WRONGPASS: it does not know this user with this password; see the url, or what gives the `credentials`";

const NO_LOGIN: &str =
    "redis wants a login: write redis://user:password@host, or give `credentials`";

/// What it may mean that nothing is said there that can be read.
pub(super) const SILENT: &str = "if somebody listens there, it is no redis server, or it speaks TLS (rediss://) where the url does not, or the other way round";

/// The error of an attempt to connect.
pub(super) fn error_of_attempt(error: &RedisError) -> Error {
    let known = error_of(error);
    if !error.is_io_error() {
        return known;
    }
    // Of a cluster's nodes the driver gives the text alone.
    let text = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let message = if says(&["WRONGPASS"]) {
        WRONG_LOGIN.to_owned()
    } else if says(&["NOAUTH"]) {
        NO_LOGIN.to_owned()
    } else if says(&["timed out", "broken pipe", "reset by peer", "end of file"]) {
        format!("{known}; {SILENT}")
    } else {
        return known;
    };
    Error::new(known.kind(), message)
}

/// What a server answers that starts, stops, changes its role, is full or busy.
const FOR_NOW: [&str; 10] = [
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "UNBLOCKED",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_says_nothing_is_told_alike_whoever_waits_for_it() {
        let error = error_of_pool(PoolError::Timeout(TimeoutType::Create));
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.to_string().contains("or it speaks TLS"), "{error}");
    }
}
