use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::error::{Error, ErrorKind};
use crate::process::background;

/// Login of a connection, for [`Builder::credentials`](crate::Builder::credentials).
#[derive(Clone)]
pub struct Credentials {
    pub(crate) user: Option<String>,
    pub(crate) password: String,
}

/// Callback that supplies the login of each new connection.
#[derive(Clone)]
pub(crate) struct CredentialsProvider {
    give: Arc<dyn Fn() -> Credentials + Send + Sync>,
    /// Locked while the callback runs: a callback that hangs occupies one thread, however many
    /// connections wait for it.
    turn: Arc<Mutex<()>>,
}

impl CredentialsProvider {
    pub(crate) fn new(give: impl Fn() -> Credentials + Send + Sync + 'static) -> Self {
        Self {
            give: Arc::new(give),
            turn: Arc::default(),
        }
    }

    /// Runs the callback on a thread that may block, because the callback may read a file or call
    /// another service. The thread never belongs to the caller's runtime, whose shutdown would wait
    /// for the callback.
    pub(crate) async fn ask(&self) -> Result<Credentials, Error> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let give = Arc::clone(&self.give);
        let given = background::handle()?.spawn_blocking(move || {
            let _turn = turn;
            give()
        });
        given.await.map_err(|_| {
            Error::new(
                ErrorKind::Unavailable,
                "the callback given to `credentials` has panicked",
            )
        })
    }
}

impl Credentials {
    /// Creates a login for a user in the server's access control list.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: Some(user.into()),
            password: password.into(),
        }
    }

    /// Creates a login for the default user.
    pub fn password(password: impl Into<String>) -> Self {
        Self {
            user: None,
            password: password.into(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}
