#[cfg(feature = "tls")]
use redis::TlsMode;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ConnectionInfo};

use super::pool::error_of;
use super::target::{Watched, unusable};
use crate::error::Error;

impl Watched {
    /// Where the server is at this moment, as its sentinels have it.
    pub(super) async fn find(&self) -> Result<ConnectionInfo, Error> {
        let mut places: Vec<_> = self
            .sentinels
            .iter()
            .map(|info| info.addr().clone())
            .collect();
        // They are asked one after the other: one that is silent must not be the first each time.
        fastrand::shuffle(&mut places);
        let kind = SentinelServerType::Master;
        let client = SentinelClientBuilder::new(places, &self.name, kind);
        let client = client.and_then(|client| self.logged_in(client).build());
        let mut client = client.map_err(|error| unusable(&error))?;
        let found = client.async_get_client().await;
        let found = found.map_err(|error| error_of(&error))?;
        let place = found.get_connection_info().addr().clone();
        Ok(self.node.clone().set_addr(self.dressed(place)))
    }

    /// The driver asks the server for its role.
    fn logged_in(&self, mut client: SentinelClientBuilder) -> SentinelClientBuilder {
        let redis = self.node.redis_settings();
        if let Some(user) = redis.username() {
            client = client.set_client_to_redis_username(user);
        }
        if let Some(password) = redis.password() {
            client = client.set_client_to_redis_password(password);
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
