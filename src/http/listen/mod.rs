//! The accept loop. It drives hyper itself, because warp's server has no limits and no graceful stop with a deadline.

mod frame_limit;
mod tls;
mod write_deadline;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::frame_limit::FrameLimit;
use self::tls::Tls;
use self::write_deadline::WriteDeadline;
use super::Routes;
use super::connections::{Accepted, Connections, Purpose};
use super::gateway::{self, Gateway};
use crate::app::App;
use crate::config::Http;

pub use self::frame_limit::{FrameBudget, FrameViolation};

/// Headers of a request, and their bytes in all.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Pause after a failed accept: nearly always file descriptors have run out, and some are freed meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An open port.
pub struct Listener {
    socket: TcpListener,
    tls: Option<Tls>,
}

impl Listener {
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Opens the port, for TLS if there is a certificate. Fails if the port is taken or the certificate cannot be used.
pub async fn bind(config: &Http) -> io::Result<Listener> {
    let tls = config.certificate().map(|(certificate, key)| Tls::open(certificate, key)).transpose()?;
    let socket = TcpListener::bind(SocketAddr::new(config.host, config.port)).await?;
    Ok(Listener { socket, tls })
}

/// Opens the port for operators, if there is one. It has no TLS: only what is near asks there.
pub async fn bind_admin(config: &Http) -> io::Result<Option<Listener>> {
    let Some(port) = config.admin_port else { return Ok(None) };
    let socket = TcpListener::bind(SocketAddr::new(config.host, port)).await?;
    Ok(Some(Listener { socket, tls: None }))
}

/// Serves the routes until the application is stopped, then finishes requests in progress.
///
/// After the stop signal the port stays open for `SHUTDOWN_DELAY`, because load balancers need time to notice. Then idle connections
/// are closed at once and busy ones after their response, all within `SHUTDOWN_TIMEOUT`.
pub async fn listen(app: App, listener: Listener, routes: Routes) {
    let Listener { socket, tls } = listener;
    let tls = tls.map(Arc::new);
    let limits = &app.config.http;
    let connections = Connections::new(limits);
    let gateway = Arc::new(Gateway::new(app.clone(), routes));
    let (closing, open) = (CancellationToken::new(), TaskTracker::new());
    let stop = async {
        app.stop.cancelled().await;
        sleep(limits.shutdown_delay(app.config.environment)).await;
    };
    let accept = async {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => {
                    let accepted = connections.accept(peer.ip());
                    open.spawn(serve(Arc::clone(&gateway), stream, tls.clone(), peer, closing.clone(), accepted));
                }
                Err(error) => {
                    tracing::warn!(error = %error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let renew = async {
        match &tls {
            Some(tls) => tls.renew(limits.certificate_check).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop => {}
        () = accept => {}
        () = renew => {}
    }
    drop(socket);
    closing.cancel();
    let idle = async {
        open.close();
        open.wait().await;
        gateway.finished().await;
    };
    if timeout(limits.shutdown_timeout, idle).await.is_err() {
        tracing::warn!("shutdown timeout: requests were still in progress");
    }
}

/// Serves a connection, behind the handshake of TLS if there is one. The handshake has the time that headers have.
async fn serve(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    peer: SocketAddr,
    closing: CancellationToken,
    accepted: Accepted,
) {
    // Responses are written at once; Nagle's algorithm would only delay them by 40 ms.
    stream.set_nodelay(true).ok();
    let limits = gateway.limits();
    let stream = WriteDeadline::new(stream, limits.write_timeout);
    let Some(tls) = tls else { return converse(&gateway, stream, |stream| stream, peer, closing, accepted).await };
    let secured = tokio::select! {
        secured = timeout(limits.header_timeout, tls.accept(stream)) => secured,
        () = displaced(&accepted.purpose) => return,
        () = closing.cancelled() => return,
    };
    match secured {
        Ok(Ok(stream)) => converse(&gateway, stream, |stream| stream.into_inner().0, peer, closing, accepted).await,
        Ok(Err(error)) => tracing::debug!(error = %error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

/// Answers the requests of a connection until one side ends it; `wire` takes the encryption off.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    gateway: &Arc<Gateway>,
    stream: S,
    wire: fn(S) -> WriteDeadline,
    peer: SocketAddr,
    closing: CancellationToken,
    accepted: Accepted,
) {
    let limits = gateway.limits();
    let (is_upgraded, stream) = FrameLimit::new(stream);
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let (gateway, purpose, is_upgraded) = (Arc::clone(gateway), accepted.purpose.clone(), Arc::clone(&is_upgraded));
        async move {
            let context = gateway.context(peer.ip(), request.headers());
            let response = gateway.answer(context, &purpose, request).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                is_upgraded.store(true, Ordering::Release);
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEADER_BYTES)
        // A client may close its side after its last request.
        .half_close(true)
        .writev(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = displaced(&accepted.purpose) => return,
        () = closing.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if let Err(error) = ended {
        if error.is_parse() {
            gateway::refused(&error);
        }
        tracing::debug!(error = %error, "connection ended early");
    }
    if let Some(parts) = connection.into_parts() {
        tokio::select! {
            () = wire(parts.io.into_inner().into_inner()).close() => {}
            () = displaced(&accepted.purpose) => {}
            () = closing.cancelled() => {}
        }
    }
}

/// Waits until a connection for probes has to make room for another one.
async fn displaced(purpose: &Purpose) {
    match purpose {
        Purpose::Requests => std::future::pending().await,
        Purpose::Probes(ended) => ended.cancelled().await,
    }
}
