//! Connections to a cluster: the driver routes commands, and this module tracks the nodes.

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
use super::push_handler::{PushHandler, on_push};
use super::raw_entry::Replies;

pub(super) type RoutedConnection = ClusterConnection<ClusterNode>;

/// Node connection that the driver routes commands to.
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

/// Sends commands to the node of the first command's slot. Returns the replies, and `true` if the
/// commands were sent again one by one because the node redirected some.
///
/// The driver follows redirections of single commands. It sends a pipeline to one node, and fails
/// if that node redirects one of its commands; the commands are then sent one by one. Commands that
/// had already run then run twice, which the scripts tolerate.
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

/// Returns `true` if a node reports that keys are on another node or are being moved.
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

/// Sends a command to one node, independent of the command's keys.
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

/// A connection to one node. Tracking is on from its first command, and its own reader handles its
/// pushes.
///
/// The driver's push channel is a queue, in which a later reply overtakes pushes; and the driver
/// opens and drops connections without a notification.
#[derive(Clone)]
pub(super) struct ClusterNode {
    connection: MultiplexedConnection,
    _end: Arc<NodeEnd>,
}

/// State shared by the node connections of one cluster connection.
pub(super) struct NodeScope {
    /// Handler of the nodes' pushes; `None` if a node does not support tracking.
    pub(super) push_handler: Option<Arc<PushHandler>>,
    /// Set if a node has refused tracking.
    pub(super) refused: AtomicBool,
}

/// Reports the loss of a node connection when dropped: the server's tracking ends with the
/// connection.
struct NodeEnd(Arc<NodeScope>);

impl Drop for NodeEnd {
    fn drop(&mut self) {
        if let Some(push_handler) = &self.0.push_handler {
            push_handler.one_lost();
        }
    }
}

/// Passes the scope to new node connections: the resolver is the only object of this crate that the
/// driver hands on to the place where it connects.
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
                    config.set_push_sender(on_push(move || slot.get()?.push_handler.clone()))
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
            if scope.push_handler.is_some() {
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

/// Returns the error of a connection that has resolved no host, so it belongs to no cluster.
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
