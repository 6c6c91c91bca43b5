use redis::cmd;

use super::cluster_layout::NodeAddress;
use super::session::RedisSession;
use crate::error::Error;
use crate::invalidation::removed_entries::RemovedEntries;
use crate::key::Key;
use crate::key::pattern::KeyPattern;

/// Number of keys in one step of a scan, and maximum number of keys in one command.
const BATCH: usize = 1_000;

/// Returns the servers in order, then in reverse order. A key that moves from a server not yet
/// swept to one already swept is found on the way back.
fn there_and_back<T>(places: &[T]) -> impl Iterator<Item = &T> {
    places.iter().chain(places.iter().rev().skip(1))
}

impl RedisSession {
    /// Removes matching keys on all servers: leases if `leases`, otherwise entries.
    pub(super) async fn sweep(
        &self,
        pattern: &KeyPattern,
        leases: bool,
    ) -> Result<RemovedEntries, Error> {
        self.refill();
        let topology = self.exchange(|mut handle| async move { handle.transport.topology().await });
        let places = topology.await?.places;
        let mut removed = RemovedEntries::default();
        for place in there_and_back(&places) {
            removed.add(self.sweep_at(place, pattern, leases).await?);
        }
        Ok(removed)
    }

    async fn sweep_at(
        &self,
        place: &NodeAddress,
        pattern: &KeyPattern,
        leases: bool,
    ) -> Result<RemovedEntries, Error> {
        let glob = pattern.redis_match(&self.connection().config.namespace);
        let glob = glob.as_str();
        let mut cursor = b"0".to_vec();
        let mut removed = RemovedEntries::default();
        loop {
            let from = cursor;
            self.refill();
            let (next, found): (Vec<u8>, Vec<Vec<u8>>) = self
                .exchange(|mut handle| async move {
                    let mut scan = cmd("SCAN");
                    scan.arg(from)
                        .arg("MATCH")
                        .arg(glob)
                        .arg("COUNT")
                        .arg(BATCH);
                    let found = handle.transport.send_to(place, scan).await?;
                    Ok(redis::from_redis_value(found.extract_error()?)?)
                })
                .await?;
            let keys: Vec<&[u8]> = found
                .iter()
                .map(Vec::as_slice)
                .filter(|key| {
                    let Ok(key) = std::str::from_utf8(key) else {
                        return false;
                    };
                    match Key::of_lease(key) {
                        Some(entry) => {
                            leases
                                && pattern.matches_text(&self.connection().config.namespace, entry)
                        }
                        None => {
                            !leases
                                && pattern.matches_text(&self.connection().config.namespace, key)
                        }
                    }
                })
                .collect();
            for batch in keys.chunks(BATCH) {
                self.refill();
                let unlinked = self
                    .exchange(|mut handle| async move {
                        let mut unlink = cmd("UNLINK");
                        unlink.arg(batch);
                        unlink.query_async::<u64>(&mut handle.transport).await
                    })
                    .await?;
                removed.entries += unlinked;
                // Reports the functions of all keys in the batch, because nearly always all of them
                // were removed: each had an entry when it was scanned.
                for key in batch.iter().filter(|_| unlinked > 0) {
                    if let Ok(key) = std::str::from_utf8(key) {
                        removed.add_function(Key::name_in(key));
                    }
                }
            }
            if next == b"0" {
                return Ok(removed);
            }
            cursor = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_goes_there_and_back() {
        let swept = |places: &[u8]| there_and_back(places).copied().collect::<Vec<_>>();
        assert_eq!(swept(&[1, 2, 3]), [1, 2, 3, 2, 1]);
        assert_eq!(swept(&[1]), [1]);
        // A key is found regardless of when it moves during the sweep, and between which servers.
        for (from, to) in [(1, 3), (3, 1), (2, 1), (3, 2)] {
            let sweep = swept(&[1, 2, 3]);
            for moved in 0..=sweep.len() {
                let at = |step| if step < moved { from } else { to };
                let met = (0..sweep.len()).any(|step| sweep[step] == at(step));
                assert!(met, "{from} to {to} before step {moved}");
            }
        }
    }
}
