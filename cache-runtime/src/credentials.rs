use std::fmt;
use std::sync::Arc;

/// Who a connection logs in as: for [`Builder::credentials`](crate::Builder::credentials).
#[derive(Clone)]
pub struct Credentials {
    pub(crate) user: Option<String>,
    pub(crate) password: String,
}

/// Gives them, at each new connection.
pub(crate) type Ask = Arc<dyn Fn() -> Credentials + Send + Sync>;

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
