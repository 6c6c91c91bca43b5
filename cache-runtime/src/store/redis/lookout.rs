use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::time::timeout;

use super::health::Place;
use super::target::Watched;

/// How long a sentinel is waited for; then another is asked, the next time.
const PATIENCE: Duration = Duration::from_millis(250);

/// Looks whether the sentinels still name the server that we are connected to.
///
/// One that they have replaced may not know it: cut off from them, or just thawed, it calls itself
/// the primary, while others invalidate on the one that came after.
pub(super) struct Lookout {
    watched: Watched,
    /// The server, as the sentinels named it.
    named: Place,
    /// Whether the sentinels want a login.
    login: bool,
    sentinel: Option<MultiplexedConnection>,
}

impl Lookout {
    pub(super) fn new(watched: &Watched, named: Place, login: bool) -> Self {
        Self {
            watched: watched.clone(),
            named,
            login,
            sentinel: None,
        }
    }

    /// The server, as the sentinels named it.
    pub(super) fn named(&self) -> &Place {
        &self.named
    }

    /// Whether another is named. While no sentinel answers, none is.
    pub(super) async fn names_another(&mut self) -> bool {
        match timeout(PATIENCE, self.ask()).await {
            Ok(Ok(Some(named))) => named != self.named,
            Ok(Ok(None)) => false,
            Ok(Err(_)) | Err(_) => {
                self.sentinel = None;
                false
            }
        }
    }

    async fn ask(&mut self) -> RedisResult<Option<(String, u16)>> {
        let sentinel = match &mut self.sentinel {
            Some(sentinel) => sentinel,
            None => {
                let connected = self.connect().await?;
                self.sentinel.insert(connected)
            }
        };
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.watched.name);
        ask.query_async(sentinel).await
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let sentinels = &self.watched.sentinels;
        let mut info = sentinels[fastrand::usize(..sentinels.len())].clone();
        if self.login {
            let of_server = self.watched.node.redis_settings();
            let mut settings = info.redis_settings().clone();
            if let Some(user) = of_server.username() {
                settings = settings.set_username(user);
            }
            if let Some(password) = of_server.password() {
                settings = settings.set_password(password);
            }
            info = info.set_redis_settings(settings);
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let client = Client::open(info)?;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }
}
