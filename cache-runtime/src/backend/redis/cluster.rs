//! A cluster's connections: routed by the driver, tracked by us.

use std::iter;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::join_all;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::{ClusterConnection, Connect};
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::io::AsyncDNSResolver;
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, Pipeline, ProtocolVersion, RedisError,
    RedisFuture, RedisResult, Value,
};

use super::cluster_layout::slot_of;
use super::driver_error::is_refusal;
use super::push_handler::{PushHandler, hears};
use super::raw_entry::Replies;

pub(super) type RoutedConnection = ClusterConnection<ClusterNode>;

/// What the driver routes to.
pub(super) trait RoutedNode:
    ConnectionLike + Connect + Clone + Send + Sync + Unpin + 'static
{
}

impl RoutedNode for ClusterNode {}
impl RoutedNode for MultiplexedConnection {}

/// Sends each part to the node of its slot.
pub(super) async fn send_all<C: RoutedNode>(
    connection: &ClusterConnection<C>,
    parts: Vec<Vec<Cmd>>,
) -> RedisResult<Vec<Value>> {
    let sent = parts
        .into_iter()
        .map(|part| send_together(connection, part));
    let mut all = Vec::new();
    for replies in join_all(sent).await {
        for reply in replies?.0 {
            all.push(reply?);
        }
    }
    Ok(all)
}

/// Sends commands to the node of the first one's slot; and whether it has sent some elsewhere.
///
/// The driver follows redirections of single commands. Of a pipeline it sends all where one was
/// sent, and gives up when another is sent back: then they go one by one. Those that were done
/// already are done twice, which the scripts bear.
pub(super) async fn send_together<C: RoutedNode>(
    connection: &ClusterConnection<C>,
    commands: Vec<Cmd>,
) -> RedisResult<(Replies, bool)> {
    let mut connection = connection.clone();
    let slot = match &*commands {
        [] => return Ok((Box::new(iter::empty()), false)),
        [only] => {
            let reply = connection.req_packed_command(only).await?;
            return Ok((Box::new(iter::once(Ok(reply))), false));
        }
        [first, ..] => slot_of(first),
    };
    let Some(slot) = slot else {
        let text = "a command about no key can't be sent with others";
        return Err((redis::ErrorKind::Client, text).into());
    };
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in &commands {
        pipeline.add_command(command.clone());
    }
    let route = SingleNodeRoutingInfo::SpecificNode(Route::with_slot(slot, SlotAddr::Master));
    let sent = connection.route_pipeline(pipeline, 0, commands.len(), route);
    match sent.await {
        Ok(replies) => return Ok((Box::new(replies.into_iter().map(Ok)), false)),
        Err(error) if !is_of_topology(&error) => return Err(error),
        Err(_) => {}
    }
    let each = commands.into_iter().map(|command| {
        let mut connection = connection.clone();
        async move { connection.req_packed_command(&command).await }
    });
    let each: Vec<_> = each.collect();
    Ok((Box::new(join_all(each).await.into_iter()), true))
}

/// Whether a node says that keys are elsewhere, or on their way.
fn is_of_topology(error: &RedisError) -> bool {
    use redis::ServerErrorKind::{Ask, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    let redis::ErrorKind::Server(kind) = error.kind() else {
        return false;
    };
    matches!(
        kind,
        Moved | Ask | TryAgain | ClusterDown | MasterDown | ReadOnly
    )
}

/// Sends a command to one node, whatever it is about.
pub(super) async fn send_to<C: RoutedNode>(
    connection: &mut ClusterConnection<C>,
    host: &str,
    port: u16,
    command: Cmd,
) -> RedisResult<Value> {
    let host = host.to_owned();
    let there = SingleNodeRoutingInfo::ByAddress { host, port };
    let routing = RoutingInfo::SingleNode(there);
    connection
        .route_command(command, routing)
        .await?
        .extract_error()
}

/// One node's connection: tracked from its first command on, and heard by its own reader.
///
/// The driver's own way for pushes goes through a queue, in which a later reply overtakes them;
/// and it makes and drops connections by itself, of which nobody is told.
#[derive(Clone)]
pub(super) struct ClusterNode {
    connection: MultiplexedConnection,
    _end: Arc<NodeEnd>,
}

/// Whose connections they are.
pub(super) struct NodeScope {
    /// Nobody, where a node does not tell of changes.
    pub(super) inbox: Option<Arc<PushHandler>>,
    /// A node has answered that it does not.
    pub(super) refused: AtomicBool,
}

/// With the connection goes what its server watches over for us.
struct NodeEnd(Arc<NodeScope>);

impl Drop for NodeEnd {
    fn drop(&mut self) {
        if let Some(inbox) = &self.0.inbox {
            inbox.one_lost();
        }
    }
}

/// The one thing of ours that the driver takes to where it connects.
pub(super) struct Resolver(pub(super) Arc<NodeScope>);

tokio::task_local! {
    static SCOPE: Arc<OnceLock<Arc<NodeScope>>>;
}

impl AsyncDNSResolver for Resolver {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        let _ = SCOPE.try_with(|slot| slot.set(Arc::clone(&self.0)));
        async move {
            let found = tokio::net::lookup_host((host, port)).await?;
            let found: Vec<SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        }
        .boxed()
    }
}

impl Connect for ClusterNode {
    fn connect_with_config<'a, T>(info: T, config: AsyncConnectionConfig) -> RedisFuture<'a, Self>
    where
        T: IntoConnectionInfo + Send + 'a,
    {
        async move {
            let slot = Arc::<OnceLock<Arc<NodeScope>>>::default();
            let info = info.into_connection_info()?;
            let config = match info.redis_settings().protocol() {
                ProtocolVersion::RESP2 => config,
                _ => {
                    let slot = Arc::clone(&slot);
                    config.set_push_sender(hears(move || slot.get()?.inbox.clone()))
                }
            };
            let client = Client::open(info)?;
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            let outcome = SCOPE.scope(Arc::clone(&slot), connecting).await;
            let Some(scope) = slot.get() else {
                return Err(outcome.err().unwrap_or_else(nowhere));
            };
            let refuse = |error: RedisError| {
                scope.refused.fetch_or(is_refusal(&error), Ordering::AcqRel);
                error
            };
            let mut connection = outcome.map_err(refuse)?;
            if scope.inbox.is_some() {
                let mut tracking = redis::cmd("CLIENT");
                tracking.arg("TRACKING").arg("ON");
                tracking.exec_async(&mut connection).await.map_err(refuse)?;
            }
            let _end = Arc::new(NodeEnd(Arc::clone(scope)));
            Ok(Self { connection, _end })
        }
        .boxed()
    }
}

/// A connection that has resolved no host: none of a cluster's.
fn nowhere() -> RedisError {
    RedisError::from((
        redis::ErrorKind::InvalidClientConfig,
        "a node without a host",
    ))
}

impl ConnectionLike for ClusterNode {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.connection.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}
