use std::time::Duration;

use coarsetime::Instant;
use tokio::sync::oneshot;

use super::request::{BatchReply, BatchRequest, RequestOutcome};
use crate::error::Error;

/// A request with the channel for its reply.
pub(super) struct PendingRequest {
    pub(super) request: BatchRequest,
    pub(super) bytes: usize,
    pub(super) asked: Instant,
    pub(super) reply: oneshot::Sender<RequestOutcome>,
}

/// A period without a reply from the server.
#[derive(Clone, Copy)]
pub(super) struct ServerSilence {
    pub(super) since: Instant,
    /// Maximum wait, if this process caused the silence because its reader was late.
    pub(super) ours: Option<Duration>,
}

impl PendingRequest {
    pub(super) fn answer(self, reply: Result<BatchReply, Error>, spent: Duration) {
        let _ = self.reply.send(RequestOutcome { reply, spent });
    }

    /// Returns `true` if no caller waits for the request.
    pub(super) fn is_over(&self) -> bool {
        self.reply.is_closed()
    }
}
