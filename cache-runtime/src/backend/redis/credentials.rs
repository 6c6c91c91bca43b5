use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::error::{Error, ErrorKind};
use crate::process::background;

/// Who a connection logs in as: for [`Builder::credentials`](crate::Builder::credentials).
#[derive(Clone)]
pub struct Credentials {
    pub(crate) user: Option<String>,
    pub(crate) password: String,
}

/// Who gives them, at each new connection.
#[derive(Clone)]
pub(crate) struct CredentialsProvider {
    give: Arc<dyn Fn() -> Credentials + Send + Sync>,
    /// Held while it is asked: one that hangs takes one thread, however many wait for it.
    turn: Arc<Mutex<()>>,
}

impl CredentialsProvider {
    pub(crate) fn new(give: impl Fn() -> Credentials + Send + Sync + 'static) -> Self {
        Self {
            give: Arc::new(give),
            turn: Arc::default(),
        }
    }

    /// Asks on a thread that may block: it may read a file, or call another service. Never one of
    /// the caller's runtime, which would not end before it.
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
    /// A user of the server's access list.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: Some(user.into()),
            password: password.into(),
        }
    }

    /// The default user.
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
