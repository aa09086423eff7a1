//! TLS: the certificate of the settings, renewed without a restart, within the limits of every connection.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use collections::http;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::app::TestApp;
use crate::harness::eventually::eventually;
use crate::harness::raw_socket::{Wire, body, status};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// Certificate and key of a server, in files that a test changes.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("it-tls-{}", collections::values::ids::new()));
        std::fs::create_dir(&folder).unwrap();
        let files = Self(folder);
        files.put("one");
        files
    }

    /// Puts a certificate in the place of the one before.
    fn put(&self, name: &str) {
        for (from, to) in [(format!("{name}.key"), "server.key"), (format!("{name}.pem"), "server.pem")] {
            std::fs::copy(fixture(&from), self.0.join(to)).unwrap();
        }
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    async fn serve(&self, more: &[&str]) -> TestApp {
        let (certificate, key) = (self.path("server.pem"), self.path("server.key"));
        let settings = [&["--tls-cert", &certificate, "--tls-key", &key], more].concat();
        TestApp::start_api_tuned(&settings, |config| {
            config.http.certificate_check = Duration::from_millis(20);
            config.http.header_timeout = Duration::from_secs(1);
        })
        .await
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// What a client trusts and speaks.
#[derive(Clone, Copy)]
struct Speaker {
    trusts: &'static str,
    version: &'static SupportedProtocolVersion,
    protocol: &'static str,
}

const CLIENT: Speaker = Speaker { trusts: "one.pem", version: &TLS13, protocol: "http/1.1" };

impl Speaker {
    async fn connect(self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(fixture(self.trusts)).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config =
            builder.with_protocol_versions(&[self.version]).unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![self.protocol.into()];
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
    }

    /// Sends a request and reads to the end of the connection.
    async fn get(self, address: SocketAddr, path: &str) -> io::Result<String> {
        let mut stream = self.connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

#[tokio::test]
async fn both_versions_of_tls_are_served_and_nothing_else() {
    let files = Files::new();
    let test = files.serve(&[]).await;
    for version in [&TLS12, &TLS13] {
        let answer = Speaker { version, ..CLIENT }.get(test.address(), "/health/live").await.unwrap();
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.contains("strict-transport-security: max-age=63072000"), "{answer}");
    }
    Speaker { protocol: "h2", ..CLIENT }.get(test.address(), "/").await.unwrap_err();
    Speaker { trusts: "two.pem", ..CLIENT }.get(test.address(), "/").await.unwrap_err();
    let plain = Wire::exchange(test.address(), "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(!plain.contains("HTTP/1.1"), "{plain}");
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let files = Files::new();
    let test = files.serve(&[]).await;
    let renewed = Speaker { trusts: "two.pem", ..CLIENT };
    let mut before = CLIENT.connect(test.address()).await.unwrap();
    std::fs::write(files.path("server.pem"), "half a certif").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    CLIENT.get(test.address(), "/health/live").await.expect("a broken file changes nothing");
    files.put("two");
    eventually("the new certificate is used", async || renewed.get(test.address(), "/health/live").await.is_ok()).await;
    CLIENT.get(test.address(), "/health/live").await.unwrap_err();
    before.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    before.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), 200, "a connection that is open goes on");
}

#[tokio::test]
async fn a_handshake_has_a_deadline_and_counts_as_a_connection() {
    let files = Files::new();
    let test = files.serve(&["--http-max-connections", "1"]).await;
    let mut idle = Wire::open(test.address()).await;
    let get = async || CLIENT.get(test.address(), "/api/v1/customers").await.unwrap();
    let mut first = String::new();
    eventually("the idle connection is counted", async || {
        first = get().await;
        status(&first) == 503
    })
    .await;
    assert_eq!(body(&first)["code"], "overloaded");
    assert_eq!(idle.rest().await, "", "it is closed without a word");
    let mut slow = Wire::open(test.address()).await;
    // The beginning of a handshake whose rest never comes.
    slow.try_send(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await;
    slow.rest().await;
    eventually("others are served again", async || status(&get().await) == 401).await;
    let mut unasked = CLIENT.connect(test.address()).await.unwrap();
    let mut rest = Vec::new();
    // Headers have their deadline behind the handshake too; how the connection ends is of no matter.
    unasked.read_to_end(&mut rest).await.ok();
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let files = Files::new();
    let test = TestApp::start_api(&[]).await;
    let bind = async |certificate: &str, key: &str| {
        let mut config = test.app.config.clone();
        config.http.tls_cert = Some(certificate.into());
        config.http.tls_key = Some(key.into());
        http::bind(&config.http).await.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let (certificate, key) = (files.path("server.pem"), files.path("server.key"));
    assert_eq!(bind(&certificate, &key).await, "");
    assert!(bind("/absent", &key).await.starts_with("TLS_CERT /absent: "));
    assert!(bind(&certificate, "/absent").await.starts_with("TLS_KEY /absent: "));
    assert!(bind(&key, &key).await.contains("has no certificate"));
    assert!(bind(&certificate, &certificate).await.starts_with("TLS_KEY "));
    assert!(bind(&certificate, fixture("two.key").to_str().unwrap()).await.starts_with("TLS_KEY "), "of another certificate");
    let mut config = test.app.config.clone();
    config.http.tls_cert = Some(certificate.into());
    assert_eq!(config.check().unwrap_err(), "TLS needs both TLS_CERT and TLS_KEY");
}
