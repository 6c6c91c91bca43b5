use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ConnectionInfo};

use super::pool::error_of;
use super::target::{Watched, unusable};
use crate::error::Error;

impl Watched {
    /// Where the server is at this moment, as its sentinels have it.
    pub(super) async fn find(&self) -> Result<ConnectionInfo, Error> {
        let places = self.sentinels.iter().map(|info| info.addr().clone());
        let kind = SentinelServerType::Master;
        let client = SentinelClientBuilder::new(places, &self.name, kind);
        let client = client.and_then(SentinelClientBuilder::build);
        let mut client = client.map_err(|error| unusable(&error))?;
        let found = client.async_get_client().await;
        let found = found.map_err(|error| error_of(&error))?;
        let place = found.get_connection_info().addr().clone();
        Ok(self.node.clone().set_addr(self.dressed(place)))
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
