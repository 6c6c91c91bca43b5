use std::fmt;

use redis::{ClientTlsConfig, TlsCertificates};

/// Certificates for TLS connections, in PEM format, for [`Builder::tls`](crate::Builder::tls).
#[derive(Clone, Default)]
pub struct TlsConfig {
    authority: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl TlsConfig {
    /// Creates a configuration that trusts the certificate authorities of the system and presents
    /// no client certificate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts this certificate authority instead of the system's.
    #[must_use]
    pub fn authority(mut self, certificate: impl Into<Vec<u8>>) -> Self {
        self.authority = Some(certificate.into());
        self
    }

    /// Presents this certificate to a server that requests one (mutual TLS). `key` is the
    /// certificate's private key.
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

/// Installs the `ring` provider as the process's default cryptography, if there is no default. The
/// driver uses the default, and rustls panics if there is none and several providers are compiled
/// in.
pub(crate) fn provide() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
