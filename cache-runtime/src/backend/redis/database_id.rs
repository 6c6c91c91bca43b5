use std::time::Duration;

use redis::RedisResult;
use tokio::time::timeout;

use super::config::RedisConfig;
use super::connection::{ConnectionHandle, Established};
use super::raw_entry::millis;
use super::scripts::SCRIPTS;
use crate::invalidation::group::Group;
use crate::process::unique_id::UniqueId;

/// Longest wait for the id of the database. After it, the next heartbeat asks again.
const PATIENCE: Duration = Duration::from_millis(500);

/// Detects an exchange of the database behind a connection: `SWAPDB` exchanges two databases and
/// pushes nothing.
#[derive(Default)]
pub(super) struct DatabaseId(Option<UniqueId>);

impl DatabaseId {
    /// Returns `true` if the database is not the one of the last heartbeat. A cluster has one
    /// database only.
    pub(super) async fn was_swapped(&mut self, up: &mut Established, config: &RedisConfig) -> bool {
        if !up.transport.is_one() {
            return false;
        }
        let group = Group::database(&config.namespace);
        let mut handle = ConnectionHandle {
            transport: up.transport.clone(),
            tracking: up.tracking,
            epoch: up.epoch,
        };
        match timeout(PATIENCE, make(&mut handle, &group)).await {
            Ok(Ok((Some(id), _))) => self.0.replace(id).is_some_and(|before| before != id),
            // A server that rejects writes or is busy gives no information about the database.
            _ => false,
        }
    }
}

/// Returns the generation of a group, created if the group had none, and `true` if the key held
/// something else.
async fn make(
    handle: &mut ConnectionHandle,
    group: &Group,
) -> RedisResult<(Option<UniqueId>, bool)> {
    let mut call = SCRIPTS.generation.key(group.key());
    call.arg(&UniqueId::fresh().0)
        .arg(group.life().map_or(0, millis));
    let (made, damaged): (Vec<u8>, u8) = call.invoke_async(&mut handle.transport).await?;
    Ok((UniqueId::from_bytes(&made), damaged == 1))
}
