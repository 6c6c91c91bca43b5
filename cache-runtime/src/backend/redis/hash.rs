use redis::cmd;

use super::session::RedisSession;
use crate::error::{Error, ErrorKind};

/// Fields in one piece.
const BATCH: usize = 1_000;

/// Where a reading of a hash begins, and has ended.
pub(super) const ENDS: &[u8] = b"0";

/// A piece of a hash: where the next one begins; fields and values in turn.
pub(super) type Piece = (Vec<u8>, Vec<Vec<u8>>);

impl RedisSession {
    /// One piece of a hash that may be large, within a patience of its own. An error of the server
    /// in its place says that something else stands there.
    pub(super) async fn piece_of_hash(
        &self,
        key: &str,
        from: Vec<u8>,
    ) -> Result<Result<Piece, Error>, Error> {
        self.refill();
        let piece = self.exchange(|mut line| async move {
            let mut scan = cmd("HSCAN");
            scan.arg(key).arg(from).arg("COUNT").arg(BATCH);
            scan.query_async(&mut line.connection).await
        });
        match piece.await {
            Ok(piece) => Ok(Ok(piece)),
            Err(error) if error.kind() == ErrorKind::Server && !error.is_passing() => {
                Ok(Err(error))
            }
            Err(error) => Err(error),
        }
    }
}
