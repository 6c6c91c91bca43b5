use std::fmt;

use redis::{ClientTlsConfig, TlsCertificates};

/// Whom a connection trusts, and how it shows who it is: PEM texts, for
/// [`Builder::tls`](crate::Builder::tls).
#[derive(Clone, Default)]
pub struct TlsConfig {
    authority: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl TlsConfig {
    /// None yet: the system's authorities are trusted, and no client certificate is shown.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts this authority in place of the system's.
    #[must_use]
    pub fn authority(mut self, certificate: impl Into<Vec<u8>>) -> Self {
        self.authority = Some(certificate.into());
        self
    }

    /// Shows this certificate to a server that asks for one (mutual TLS).
    #[must_use]
    pub fn client(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client = Some((certificate.into(), key.into()));
        self
    }

    pub(crate) fn of_driver(&self) -> TlsCertificates {
        TlsCertificates {
            root_cert: self.authority.clone(),
            client_tls: self
                .client
                .clone()
                .map(|(client_cert, client_key)| ClientTlsConfig {
                    client_cert,
                    client_key,
                }),
        }
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConfig")
    }
}

/// The driver asks for the process's cryptography, and panics where there is none or a choice.
pub(crate) fn provide() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
