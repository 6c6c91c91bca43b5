use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, Value};

use super::cluster_layout::{ClusterLayout, NodeAddress};
use super::raw_entry::Replies;
#[cfg(feature = "cluster")]
use super::{cluster, primaries::primaries};

/// Transport of commands: a connection to one server, or to each node of a cluster behind the
/// driver's routing. Clones are cheap and multiplex over the same connections.
#[derive(Clone)]
pub(super) enum Transport {
    One(MultiplexedConnection),
    #[cfg(feature = "cluster")]
    Cluster(cluster::RoutedConnection),
    /// A connection of an external pool.
    #[cfg(feature = "cluster")]
    Lent(redis::cluster_async::ClusterConnection),
}

impl Transport {
    /// Returns `true` if all keys are on one server.
    pub(super) fn is_one(&self) -> bool {
        matches!(self, Self::One(_))
    }

    /// Sends all parts concurrently, each to the node of its slot, and returns the replies in
    /// order.
    ///
    /// A single server receives the parts as one pipeline; the nodes of a cluster receive theirs in
    /// parallel.
    pub(super) async fn send_all(&mut self, parts: Vec<Vec<Cmd>>) -> RedisResult<Vec<Value>> {
        match self {
            Self::One(connection) => pipe(connection, parts.into_iter().flatten()).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => cluster::send_all(connection, parts).await,
            #[cfg(feature = "cluster")]
            Self::Lent(connection) => cluster::send_all(connection, parts).await,
        }
    }

    /// Sends commands for one server as one pipeline. Returns the replies in order, and `true` if
    /// the server has redirected some commands.
    pub(super) async fn send_together(
        &mut self,
        commands: Vec<Cmd>,
    ) -> RedisResult<(Replies, bool)> {
        match self {
            Self::One(connection) => {
                let replies = pipe(connection, commands).await?;
                Ok((Box::new(replies.into_iter().map(Ok)), false))
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => cluster::send_together(connection, commands).await,
            #[cfg(feature = "cluster")]
            Self::Lent(connection) => cluster::send_together(connection, commands).await,
        }
    }

    /// Returns the servers to scan: all primaries of a cluster.
    pub(super) async fn topology(&mut self) -> RedisResult<ClusterLayout> {
        match self {
            Self::One(_) => Ok(ClusterLayout::one()),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => primaries(connection).await,
            #[cfg(feature = "cluster")]
            Self::Lent(connection) => primaries(connection).await,
        }
    }

    /// Sends a command to the server at `place`, regardless of the command's keys.
    pub(super) async fn send_to(
        &mut self,
        place: &NodeAddress,
        command: Cmd,
    ) -> RedisResult<Value> {
        match (self, place) {
            #[cfg(feature = "cluster")]
            (Self::Cluster(connection), NodeAddress::There(host, port)) => {
                cluster::send_to(connection, host, *port, command).await
            }
            #[cfg(feature = "cluster")]
            (Self::Lent(connection), NodeAddress::There(host, port)) => {
                cluster::send_to(connection, host, *port, command).await
            }
            (transport, _) => transport.req_packed_command(&command).await,
        }
    }

    /// Pings all servers and returns their layout.
    ///
    /// # Errors
    ///
    /// Returns an error if a server does not reply, or if `primary` is true and the single server
    /// is a replica.
    pub(super) async fn ping(&mut self, primary: bool) -> RedisResult<ClusterLayout> {
        match self {
            Self::One(connection) if primary => {
                let role: Vec<Value> = redis::cmd("ROLE").query_async(connection).await?;
                match role.first() {
                    Some(Value::BulkString(role)) if role == b"master" => Ok(ClusterLayout::one()),
                    _ => Err((redis::ErrorKind::Io, "it is a replica now").into()),
                }
            }
            Self::One(connection) => {
                redis::cmd("PING").exec_async(connection).await?;
                Ok(ClusterLayout::one())
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(_) | Self::Lent(_) => self.topology().await,
        }
    }
}

/// Sends commands as one pipeline, or a single command without a pipeline, which costs less.
async fn pipe(
    connection: &mut impl ConnectionLike,
    commands: impl IntoIterator<Item = Cmd>,
) -> RedisResult<Vec<Value>> {
    let mut commands = commands.into_iter();
    let (first, second) = (commands.next(), commands.next());
    let (first, second) = match (first, second) {
        (None, _) => return Ok(Vec::new()),
        (Some(only), None) => return Ok(vec![connection.req_packed_command(&only).await?]),
        (Some(first), Some(second)) => (first, second),
    };
    let mut pipeline = Pipeline::new();
    pipeline.add_command(first).add_command(second);
    for command in commands {
        pipeline.add_command(command);
    }
    let count = pipeline.len();
    connection.req_packed_commands(&pipeline, 0, count).await
}

impl ConnectionLike for Transport {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.req_packed_command(command),
            #[cfg(feature = "cluster")]
            Self::Lent(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
            #[cfg(feature = "cluster")]
            Self::Lent(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.get_db(),
            #[cfg(feature = "cluster")]
            Self::Lent(connection) => connection.get_db(),
        }
    }
}
