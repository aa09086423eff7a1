//! The accept loop. It drives hyper itself, because warp's server has no limits and no graceful stop with a deadline.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::gateway::Gateway;
use super::write_deadline::WriteDeadline;
use super::{RequestContext, Routes};
use crate::app::App;
use crate::config::Http;

/// Headers of a request, and their bytes in all.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Pause after a failed accept: nearly always file descriptors have run out, and some are freed meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub async fn bind(config: &Http) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(config.host, config.port)).await
}

/// Serves the routes until the application is stopped, then finishes requests in progress.
///
/// After the stop signal the port stays open for `SHUTDOWN_DELAY`, because load balancers need time to notice. Then idle connections
/// are closed at once and busy ones after their response, all within `SHUTDOWN_TIMEOUT`.
pub async fn listen(app: App, socket: TcpListener, routes: Routes) {
    let limits = &app.config.http;
    let connections = Arc::new(Semaphore::new(limits.max_connections));
    let gateway = Arc::new(Gateway::new(app.clone(), routes));
    let closing = CancellationToken::new();
    let stop = async {
        app.stop.cancelled().await;
        sleep(limits.shutdown_delay(app.config.environment)).await;
    };
    let accept = async {
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
            match socket.accept().await {
                Ok((stream, peer)) => {
                    tokio::spawn(serve(Arc::clone(&gateway), stream, peer, closing.clone(), permit));
                }
                Err(error) => {
                    tracing::warn!(error = %error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop => {}
        () = accept => {}
    }
    drop(socket);
    closing.cancel();
    let idle = async {
        // All permits are free again when every connection has ended.
        let _all = connections.acquire_many(u32::try_from(limits.max_connections).unwrap_or(u32::MAX)).await;
        gateway.finished().await;
    };
    if timeout(limits.shutdown_timeout, idle).await.is_err() {
        tracing::warn!("shutdown timeout: requests were still in progress");
    }
}

async fn serve(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: SocketAddr,
    closing: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    // Responses are written at once; Nagle's algorithm would only delay them by 40 ms.
    stream.set_nodelay(true).ok();
    let limits = gateway.limits();
    let stream = WriteDeadline::new(stream, limits.write_timeout);
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let gateway = Arc::clone(&gateway);
        async move {
            let context = RequestContext::new(peer.ip(), request.headers());
            Ok::<_, std::convert::Infallible>(gateway.answer(context, request).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEADER_BYTES)
        .writev(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "connection ended early");
    }
}
