//! TLS with the certificate of the settings, which may be renewed while the server runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Accepts connections by TLS 1.2 and 1.3.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

/// A certificate with its key, as their files were when they last changed.
#[derive(Debug)]
struct Certificate {
    files: Files,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

/// Files in PEM.
#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Tls {
    /// Reads the certificate with its chain, and the key. Fails with a sentence for the operator.
    pub(super) fn open(certificate: &Path, key: &Path) -> io::Result<Self> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let provider = Arc::new(ring::default_provider());
        let current = RwLock::new(Arc::new(files.read(&provider)?));
        let certificate = Arc::new(Certificate { files, provider: Arc::clone(&provider), current });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        // A client that speaks nothing else is refused, as the standard says, and not misunderstood.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        self.acceptor.accept(stream).await
    }

    /// Reads the files again whenever one has changed, for ever. Connections that are open keep what they have.
    pub(super) async fn renew(&self, period: Duration) {
        let mut seen = self.certificate.files.changed_at();
        loop {
            sleep(period).await;
            let now = self.certificate.files.changed_at();
            if now == seen {
                continue;
            }
            seen = now;
            match self.certificate.files.read(&self.certificate.provider) {
                Ok(renewed) => {
                    *self.certificate.current.write() = Arc::new(renewed);
                    tracing::info!("the certificate was renewed");
                }
                // Perhaps only one of them was written yet.
                Err(error) => tracing::warn!(%error, "the new certificate cannot be used; the one before stays"),
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

impl Files {
    fn read(&self, provider: &CryptoProvider) -> io::Result<CertifiedKey> {
        let wrong = |name: &str, path: &Path, error: &dyn std::fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{name} {}: {error}", path.display()))
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| wrong("TLS_CERT", &self.certificate, &error))?;
        if chain.is_empty() {
            return Err(wrong("TLS_CERT", &self.certificate, &"has no certificate in PEM"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| wrong("TLS_KEY", &self.key, &error))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| wrong("TLS_KEY", &self.key, &error))
    }

    /// When they were written last; none if that cannot be told, as while one is replaced.
    fn changed_at(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| path.metadata().and_then(|file| file.modified()).ok())
    }
}
