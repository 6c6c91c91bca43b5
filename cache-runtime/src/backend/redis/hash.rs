use redis::cmd;

use super::session::RedisSession;
use crate::error::{Error, ErrorKind};

/// Fields requested in one piece.
const BATCH: usize = 1_000;

/// Cursor with which the scan of a hash begins and ends.
pub(super) const ENDS: &[u8] = b"0";

/// A piece of a hash: the cursor of the next piece, and fields and values in turn.
pub(super) type Piece = (Vec<u8>, Vec<Vec<u8>>);

impl RedisSession {
    /// Reads one piece of a hash that may be large, within its own time limit. The inner result is
    /// an error of the server if the key holds another type.
    pub(super) async fn piece_of_hash(
        &self,
        key: &str,
        from: Vec<u8>,
    ) -> Result<Result<Piece, Error>, Error> {
        self.refill();
        let piece = self.exchange(|mut line| async move {
            let mut scan = cmd("HSCAN");
            scan.arg(key).arg(from).arg("COUNT").arg(BATCH);
            scan.query_async(&mut line.transport).await
        });
        match piece.await {
            Ok(piece) => Ok(Ok(piece)),
            Err(error) if error.kind() == ErrorKind::Server && !error.is_transient() => {
                Ok(Err(error))
            }
            Err(error) => Err(error),
        }
    }
}
