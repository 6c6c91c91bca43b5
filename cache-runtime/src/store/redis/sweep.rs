use redis::cmd;

use super::Way;
use super::wire::Place;
use crate::error::Error;
use crate::key::Key;
use crate::pattern::KeyPattern;

/// Keys asked for in one step of a scan, and removed in one command.
const BATCH: usize = 1_000;

impl Way {
    /// One sweep over the keys that match, on all servers: leases or entries.
    pub(super) async fn sweep(&self, pattern: &KeyPattern, leases: bool) -> Result<u64, Error> {
        self.refill();
        let places = self.exchange(|mut line| async move { line.connection.places().await });
        let places = places.await?;
        let mut removed = 0;
        for place in &places {
            removed += self.sweep_at(place, pattern, leases).await?;
        }
        // A key that moves from a server that is still to be swept to one that has been is met
        // on the way back.
        for place in places.iter().rev().skip(1) {
            removed += self.sweep_at(place, pattern, leases).await?;
        }
        Ok(removed)
    }

    async fn sweep_at(
        &self,
        place: &Place,
        pattern: &KeyPattern,
        leases: bool,
    ) -> Result<u64, Error> {
        let glob = pattern.redis_match(&self.settings.namespace);
        let glob = glob.as_str();
        let mut cursor = b"0".to_vec();
        let mut removed = 0;
        loop {
            let from = cursor;
            self.refill();
            let (next, found): (Vec<u8>, Vec<Vec<u8>>) = self
                .exchange(|mut line| async move {
                    let mut scan = cmd("SCAN");
                    scan.arg(from)
                        .arg("MATCH")
                        .arg(glob)
                        .arg("COUNT")
                        .arg(BATCH);
                    let found = line.connection.send_to(place, scan).await?;
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
                            leases && pattern.matches_text(&self.settings.namespace, entry)
                        }
                        None => !leases && pattern.matches_text(&self.settings.namespace, key),
                    }
                })
                .collect();
            for batch in keys.chunks(BATCH) {
                self.refill();
                removed += self
                    .exchange(|mut line| async move {
                        let mut unlink = cmd("UNLINK");
                        unlink.arg(batch);
                        unlink.query_async::<u64>(&mut line.connection).await
                    })
                    .await?;
            }
            if next == b"0" {
                return Ok(removed);
            }
            cursor = next;
        }
    }
}
