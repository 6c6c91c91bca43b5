#[cfg(feature = "tls")]
use redis::TlsMode;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ConnectionInfo, RedisResult};

use super::lookout::Lookout;
use super::pool::error_of_attempt;
use super::target::Watched;
use crate::error::Error;

impl Watched {
    /// Where the server is at this moment, as its sentinels have it, and who looks whether that
    /// changes.
    pub(super) async fn find(&self) -> Result<(ConnectionInfo, Option<Lookout>), Error> {
        let mut login = false;
        let mut place = self.ask(login).await;
        // They have the server's login for themselves: where they want one, it is that.
        if let Err(error) = &place
            && error.code() == Some("NOAUTH")
            && self.has_login()
        {
            login = true;
            place = self.ask(login).await;
        }
        let place = place.map_err(|error| error_of_attempt(&error))?;
        let lookout = match &place {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Some(Lookout::new(self, (host, *port), login))
            }
            _ => None,
        };
        Ok((self.node.clone().set_addr(self.dressed(place)), lookout))
    }

    fn has_login(&self) -> bool {
        self.node.redis_settings().password().is_some()
    }

    async fn ask(&self, login: bool) -> RedisResult<ConnectionAddr> {
        let mut places: Vec<_> = self
            .sentinels
            .iter()
            .map(|info| info.addr().clone())
            .collect();
        // They are asked one after the other: one that is silent must not be the first each time.
        fastrand::shuffle(&mut places);
        let kind = SentinelServerType::Master;
        let client = SentinelClientBuilder::new(places, &self.name, kind)?;
        let mut client = self.logged_in(client, login).build()?;
        let found = client.async_get_client().await?;
        Ok(found.get_connection_info().addr().clone())
    }

    /// The driver asks the server for its role.
    fn logged_in(&self, mut client: SentinelClientBuilder, too: bool) -> SentinelClientBuilder {
        let redis = self.node.redis_settings();
        if let Some(user) = redis.username() {
            client = client.set_client_to_redis_username(user);
            if too {
                client = client.set_client_to_sentinel_username(user);
            }
        }
        if let Some(password) = redis.password() {
            client = client.set_client_to_redis_password(password);
            if too {
                client = client.set_client_to_sentinel_password(password);
            }
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

    /// With TLS, if the server is to be spoken to in it: what sentinels give is a place.
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
