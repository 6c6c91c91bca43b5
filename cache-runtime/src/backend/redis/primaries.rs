//! The primaries of a cluster. A cluster is up when every primary that it lists replies and is
//! still a primary.

use futures_util::future::join;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::{ErrorKind, RedisResult, Value};

use super::cluster::RoutedNode;
use super::cluster_layout::{ClusterLayout, NodeAddress, SlotRanges};

/// Returns the primaries that the driver routes to, if all of them reply and the cluster lists the
/// same ones.
///
/// The driver silently skips a node without a connection. A former primary stays connected as a
/// replica, and sends invalidations only while it receives the changes itself.
pub(super) async fn primaries<C: RoutedNode>(
    connection: &mut ClusterConnection<C>,
) -> RedisResult<ClusterLayout> {
    let mut other = connection.clone();
    let (answering, named) = join(answering(connection), named(&mut other)).await;
    let (mut places, named) = (answering?, named?);
    compare(&places, &named)?;
    // Sorted, because each server keeps the batcher at its index.
    places.sort();
    let mut slots = SlotRanges::default();
    for one in &named {
        if let Some(place) = places.iter().position(|place| one.is(place)) {
            slots.add(one.first, one.last, place);
        }
    }
    Ok(ClusterLayout { places, slots })
}

/// Checks that the nodes that reply are exactly the primaries that the cluster lists.
///
/// # Errors
///
/// Returns `ErrorKind::Io` if a listed primary does not reply, or if a node that replies is not
/// listed.
fn compare(answering: &[NodeAddress], named: &[ListedPrimaries]) -> RedisResult<()> {
    if !named
        .iter()
        .all(|one| answering.iter().any(|it| one.is(it)))
    {
        return Err((ErrorKind::Io, "a primary of the cluster is not reached").into());
    }
    if !answering
        .iter()
        .all(|it| named.iter().any(|one| one.is(it)))
    {
        return Err((
            ErrorKind::Io,
            "a node of the cluster is no primary any more",
        )
            .into());
    }
    Ok(())
}

/// Returns the nodes that reply to the driver.
async fn answering<C: RoutedNode>(
    connection: &mut ClusterConnection<C>,
) -> RedisResult<Vec<NodeAddress>> {
    // Without a response policy, the reply contains the address of each node.
    let routing = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let pongs = connection
        .route_command(redis::cmd("PING"), routing)
        .await?;
    let Value::Map(pongs) = pongs.extract_error()? else {
        return Ok(Vec::new());
    };
    let mut places = Vec::with_capacity(pongs.len());
    for (address, _) in pongs {
        let address: String = redis::from_redis_value(address)?;
        if let Some((host, port)) = address.rsplit_once(':')
            && let Ok(port) = port.parse()
        {
            places.push(NodeAddress::There(host.to_owned(), port));
        }
    }
    Ok(places)
}

/// A primary and one range of its slots, as a node of the cluster lists them.
struct ListedPrimaries {
    first: u16,
    last: u16,
    /// Empty if the node does not know the host.
    host: String,
    port: i64,
}

impl ListedPrimaries {
    fn is(&self, place: &NodeAddress) -> bool {
        match place {
            NodeAddress::LocalSession => false,
            NodeAddress::There(host, port) => {
                self.port == i64::from(*port) && (self.host.is_empty() || self.host == *host)
            }
        }
    }
}

async fn named<C: RoutedNode>(
    connection: &mut ClusterConnection<C>,
) -> RedisResult<Vec<ListedPrimaries>> {
    let mut slots = redis::cmd("CLUSTER");
    slots.arg("SLOTS");
    let random = RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary);
    let slots = connection.route_command(slots, random).await?;
    let mut primaries = Vec::new();
    // Each element: first slot, last slot, primary, replicas. Each node: host, port, id, more.
    for range in slots.extract_error()?.into_sequence().unwrap_or_default() {
        let mut range = range.into_sequence().unwrap_or_default().into_iter();
        let (Some(Value::Int(first)), Some(Value::Int(last)), Some(node)) =
            (range.next(), range.next(), range.next())
        else {
            continue;
        };
        let (Ok(first), Ok(last)) = (first.try_into(), last.try_into()) else {
            continue;
        };
        let mut node = node.into_sequence().unwrap_or_default().into_iter();
        let (Some(host), Some(Value::Int(port))) = (node.next(), node.next()) else {
            continue;
        };
        let host: Option<String> = redis::from_redis_value(host)?;
        let known = |host: &String| !matches!(host.as_str(), "?" | "0.0.0.0" | "::");
        let host = host.filter(known).unwrap_or_default();
        primaries.push(ListedPrimaries {
            first,
            last,
            host,
            port,
        });
    }
    Ok(primaries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(answering: &[(&str, u16)], named: &[(&str, i64)]) -> bool {
        let there = |(host, port): &(&str, u16)| NodeAddress::There((*host).to_owned(), *port);
        let name = |(host, port): &(&str, i64)| ListedPrimaries {
            first: 0,
            last: 0,
            host: (*host).to_owned(),
            port: *port,
        };
        let answering: Vec<NodeAddress> = answering.iter().map(there).collect();
        let named: Vec<ListedPrimaries> = named.iter().map(name).collect();
        compare(&answering, &named).is_ok()
    }

    #[test]
    fn a_cluster_is_up_only_if_exactly_its_primaries_answer() {
        let answering = [("a", 1), ("b", 2)];
        assert!(agree(&answering, &[("b", 2), ("a", 1)]));
        assert!(agree(&answering, &[("", 1), ("", 2)]));
        // A listed primary does not reply.
        assert!(!agree(&answering, &[("a", 1), ("b", 2), ("c", 3)]));
        // A node that replies is no longer a primary.
        assert!(!agree(&answering, &[("a", 1)]));
        // Another node has replaced a primary.
        assert!(!agree(&answering, &[("a", 1), ("b", 3)]));
        assert!(!agree(&answering, &[("a", 1), ("c", 2)]));
    }
}
