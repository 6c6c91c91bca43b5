//! Connects to all primaries of a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::{ConnectionInfo, ProtocolVersion, RedisResult};

use super::cluster::{ClusterNode, NodeScope, Resolver, RoutedConnection};
use super::cluster_layout::ClusterLayout;
use super::config::RedisConfig;
use super::primaries::primaries;
use super::push_handler::PushHandler;
use super::tcp;

/// Attempts at one command, redirections included. The deadline of the call applies in any case.
const ATTEMPTS: u32 = 3;

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Connects to all primaries. Returns the connection, the layout, and `true` if the nodes track
/// what is read.
pub(super) async fn connect(
    nodes: &[ConnectionInfo],
    config: &RedisConfig,
    push_handler: &Arc<PushHandler>,
) -> RedisResult<(RoutedConnection, ClusterLayout, bool)> {
    let told = Arc::new(NodeScope {
        push_handler: Some(Arc::clone(push_handler)),
        refused: AtomicBool::new(false),
    });
    match open(nodes, config, &told).await {
        Ok((connection, topology)) => Ok((connection, topology, true)),
        Err(_) if told.refused.load(Ordering::Acquire) => {
            let untold = Arc::new(NodeScope {
                push_handler: None,
                refused: AtomicBool::new(false),
            });
            let (connection, topology) = open(nodes, config, &untold).await?;
            Ok((connection, topology, false))
        }
        Err(error) => Err(error),
    }
}

async fn open(
    nodes: &[ConnectionInfo],
    config: &RedisConfig,
    scope: &Arc<NodeScope>,
) -> RedisResult<(RoutedConnection, ClusterLayout)> {
    let protocol = match scope.push_handler {
        Some(_) => ProtocolVersion::RESP3,
        None => ProtocolVersion::RESP2,
    };
    // Steps run one after the other: connect to a node that lists the slots, then to the listed
    // nodes.
    let limit = config.connect_timeout / 3;
    let client = ClusterClientBuilder::new(nodes.iter().cloned());
    #[cfg(feature = "tls")]
    let client = match &config.certificates {
        Some(certificates) => client.certs(certificates.of_driver()),
        None => client,
    };
    let client = client
        .use_protocol(protocol)
        .tcp_settings(tcp::config())
        .retries(ATTEMPTS)
        .min_retry_wait(1)
        .max_retry_wait(LONGEST_PAUSE.as_millis() as u64)
        .connection_timeout(limit)
        .response_timeout(limit)
        .overall_response_timeout(None)
        .async_dns_resolver(Resolver(Arc::clone(scope)))
        .build()?;
    let mut connection = client.get_async_generic_connection::<ClusterNode>().await?;
    // A cluster is up only if all its primaries reply: otherwise each call for a key on a missing
    // primary would wait for its timeout.
    let topology = primaries(&mut connection).await?;
    Ok((connection, topology))
}
