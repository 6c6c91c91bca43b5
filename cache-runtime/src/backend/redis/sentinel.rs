#[cfg(feature = "tls")]
use redis::TlsMode;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ConnectionInfo, RedisConnectionInfo, RedisError, RedisResult};

use super::driver_error::error_of_attempt;
use super::failover_watcher::FailoverWatcher;
use super::tcp;
use super::topology::Watched;
use crate::error::Error;

impl Watched {
    /// Requests the address of the server from the sentinels. Returns the server, and a watcher for
    /// failovers if the server has a TCP address.
    pub(super) async fn find(&self) -> Result<(ConnectionInfo, Option<FailoverWatcher>), Error> {
        let own = self.sentinels[0].redis_settings();
        let server = self.node.redis_settings();
        let mut login = own;
        let mut place = self.ask(login).await;
        // If the sentinels require a login and none is configured for them, the server's login is
        // used.
        if let Err(error) = &place
            && error.code() == Some("NOAUTH")
            && own.password().is_none()
            && server.password().is_some()
        {
            login = server;
            place = self.ask(login).await;
        }
        let place = place.map_err(|error| refused(&error))?;
        let failover_watcher = match &place {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                let sentinels = self.sentinels.iter();
                let sentinels = sentinels.map(|info| as_user(info, login)).collect();
                Some(FailoverWatcher::new(sentinels, &self.name, (host, *port)))
            }
            _ => None,
        };
        Ok((
            self.node.clone().set_addr(self.dressed(place)),
            failover_watcher,
        ))
    }

    /// Requests the address of the server from the sentinels, with this login.
    async fn ask(&self, login: &RedisConnectionInfo) -> RedisResult<ConnectionAddr> {
        let mut places: Vec<_> = self
            .sentinels
            .iter()
            .map(|info| info.addr().clone())
            .collect();
        // Shuffled, because the driver tries the sentinels one after the other, and an unreachable
        // one must not always be the first.
        fastrand::shuffle(&mut places);
        let kind = SentinelServerType::Master;
        let client = SentinelClientBuilder::new(places, &self.name, kind)?;
        let mut client = self.logged_in(client, login).build()?;
        let found = client.async_get_client().await?;
        Ok(found.get_connection_info().addr().clone())
    }

    /// Adds the settings of the sentinels and of the server. The driver connects to the server as
    /// well, to check its role.
    fn logged_in(
        &self,
        mut client: SentinelClientBuilder,
        login: &RedisConnectionInfo,
    ) -> SentinelClientBuilder {
        client = client
            .set_client_to_redis_tcp_settings(tcp::config())
            .set_client_to_sentinel_tcp_settings(tcp::config());
        let redis = self.node.redis_settings();
        if let Some(user) = redis.username() {
            client = client.set_client_to_redis_username(user);
        }
        if let Some(password) = redis.password() {
            client = client.set_client_to_redis_password(password);
        }
        if let Some(user) = login.username() {
            client = client.set_client_to_sentinel_username(user);
        }
        if let Some(password) = login.password() {
            client = client.set_client_to_sentinel_password(password);
        }
        #[cfg(feature = "tls")]
        {
            if matches!(self.node.addr(), ConnectionAddr::TcpTls { .. }) {
                client = client
                    .set_client_to_redis_tls_mode(TlsMode::Secure)
                    .set_client_to_sentinel_tls_mode(TlsMode::Secure);
            }
            if let Some(certificates) = &self.certificates {
                client = client
                    .set_client_to_redis_certificates(certificates.clone())
                    .set_client_to_sentinel_certificates(certificates.clone());
            }
        }
        client
    }

    /// Adds TLS to an address if the server requires it, because sentinels return the address only.
    fn dressed(&self, place: ConnectionAddr) -> ConnectionAddr {
        match (self.node.addr(), place) {
            (
                ConnectionAddr::TcpTls {
                    insecure,
                    tls_params,
                    ..
                },
                ConnectionAddr::Tcp(host, port),
            ) => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            (_, place) => place,
        }
    }
}

fn as_user(info: &ConnectionInfo, login: &RedisConnectionInfo) -> ConnectionInfo {
    let mut redis = info.redis_settings().clone();
    if let Some(user) = login.username() {
        redis = redis.set_username(user);
    }
    if let Some(password) = login.password() {
        redis = redis.set_password(password);
    }
    info.clone().set_redis_settings(redis)
}

/// Returns the caller's error. The driver does not report if a login was refused by a sentinel or
/// by the server, so the message explains how to configure the sentinels' login.
fn refused(error: &RedisError) -> Error {
    let known = error_of_attempt(error);
    let is_login = error.kind() == redis::ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"));
    if !is_login {
        return known;
    }
    let message = format!(
        "{known}; if it is the sentinels that have a login of their own, write ?sentinel_user=…&sentinel_password=… at the end of the url, or give `sentinel_credentials`"
    );
    Error::new(known.kind(), message)
}
