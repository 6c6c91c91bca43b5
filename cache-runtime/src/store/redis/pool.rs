use std::sync::Arc;

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use redis::{
    AsyncConnectionConfig, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, PushInfo,
    RedisError,
};

use super::Settings;
use super::inbox::Inbox;
use crate::error::{Error, ErrorKind};

/// Requests on their way to one connection's writer at most; more wait their turn.
const QUEUE: usize = 1_024;

/// Builds a link's connections: with pushes where the server has RESP3, without elsewhere.
///
/// A pool of one: every call multiplexes over the connection that its link keeps checked out,
/// because a checkout per call costs a ping each time.
pub(super) struct Source {
    resp3: Pool,
    resp2: Pool,
}

impl Source {
    pub(super) fn new(settings: &Settings, inbox: &Arc<Inbox>) -> Result<Self, Error> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(Some(settings.connect_timeout))
            .set_pipeline_buffer_size(QUEUE);
        let inbox = Arc::clone(inbox);
        let pushes = config.clone().set_push_sender(move |push: PushInfo| {
            // What is dropped in there may be a user's value: its panic must not end the reader.
            let receive = std::panic::AssertUnwindSafe(|| inbox.receive(&push));
            if std::panic::catch_unwind(receive).is_err() {
                inbox.forget_everything();
            }
            Ok::<(), std::convert::Infallible>(())
        });
        Ok(Self {
            resp3: build(settings, pushes, ProtocolVersion::RESP3)?,
            resp2: build(settings, config, ProtocolVersion::RESP2)?,
        })
    }

    /// A fresh connection, and whether its server tracks what it reads.
    pub(super) async fn connect(&self) -> Result<(Connection, bool), Error> {
        let connection = match self.resp3.get().await {
            Ok(mut connection) => {
                // Without NOLOOP: under it a server is silent too about keys that expire or are
                // evicted while it runs a command of ours.
                let mut tracking = redis::cmd("CLIENT");
                tracking.arg("TRACKING").arg("ON");
                match tracking.query_async::<()>(&mut connection).await {
                    Ok(()) => return Ok((connection, true)),
                    Err(error) if is_refusal(&error) => return Ok((connection, false)),
                    Err(error) => return Err(error_of(&error)),
                }
            }
            Err(PoolError::Backend(error)) if is_refusal(&error) => self.resp2.get().await,
            Err(error) => Err(error),
        };
        match connection {
            Ok(connection) => Ok((connection, false)),
            Err(PoolError::Backend(error)) => Err(error_of(&error)),
            Err(error) => Err(Error::new(ErrorKind::Unavailable, error.to_string())),
        }
    }
}

fn build(
    settings: &Settings,
    config: AsyncConnectionConfig,
    protocol: ProtocolVersion,
) -> Result<Pool, Error> {
    let redis = settings
        .server
        .redis_settings()
        .clone()
        .set_protocol(protocol);
    let server = settings.server.clone().set_redis_settings(redis);
    let manager = Manager::new_with_config(server, config).map_err(|error| unusable(&error))?;
    Pool::builder(manager)
        .max_size(1)
        .create_timeout(Some(settings.connect_timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Error::new(ErrorKind::Config, error.to_string()))
}

/// The server is there, whatever it says; except that it wants another login.
pub(super) fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(_)) && error.code() != Some("NOAUTH")
}

/// The server answered, and does not do what was asked: an older protocol, a proxy.
fn is_refusal(error: &RedisError) -> bool {
    let for_now = error.code() == Some("LOADING")
        || error
            .detail()
            .is_some_and(|why| why.contains("number of clients"));
    matches!(error.kind(), redis::ErrorKind::Server(_)) && !for_now
        || matches!(error.kind(), redis::ErrorKind::RESP3NotSupported)
}

/// What a url says, or what is wrong with it, without its credentials.
pub(super) fn parse(url: &str) -> Result<ConnectionInfo, Error> {
    url.into_connection_info().map_err(|error| unusable(&error))
}

fn unusable(error: &RedisError) -> Error {
    let detail = match error.detail() {
        // The library's details name schemes and features, never the url itself.
        Some(detail) if !detail.contains('@') => format!("{}: {detail}", error.category()),
        _ => error.to_string(),
    };
    Error::new(
        ErrorKind::Config,
        format!(
            "the redis url can't be used ({detail}); it looks like redis://user:password@host:6379/0 or unix:///path/to/socket"
        ),
    )
}

/// What a caller may see of a driver's error: category and code, never data.
pub(super) fn error_of(error: &RedisError) -> Error {
    let kind = match error.kind() {
        redis::ErrorKind::Server(_) | redis::ErrorKind::Extension => ErrorKind::Server,
        _ if error.is_timeout() => ErrorKind::Timeout,
        _ => ErrorKind::Unavailable,
    };
    let message = match (error.code(), error.is_io_error()) {
        (Some(code), _) => {
            // `unknown command 'GET', with args beginning with: …` quotes keys.
            let detail = error.detail().unwrap_or("no detail");
            let (detail, _) = detail.split_once(", with args").unwrap_or((detail, ""));
            format!("redis answered {code}: {detail}")
        }
        (None, true) => format!("{error}"),
        (None, false) => error.category().to_owned(),
    };
    let known = Error::new(kind, message);
    match error.code() {
        Some(code) if FOR_NOW.contains(&code) => known.for_now(),
        _ => known,
    }
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
