//! The accept loop: hyper driven by hand, because every connection, header, body and answer needs a limit, and a stop has to be
//! gentle and bounded.

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
use super::stream::WriteDeadline;
use super::{RequestContext, Routes};
use crate::app::App;
use crate::config::Http;

/// Headers to a request, and bytes to all of them.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Pause after a failed accept, which is nearly always a lack of file descriptors: those in use are given back meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Opens the port.
///
/// # Errors
/// The port is taken, or may not be used.
pub async fn bind(config: &Http) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(config.host, config.port)).await
}

/// Serves the routes until the application is told to stop, then finishes what is under way.
///
/// After the stop signal the port stays open for a while, because load balancers go on sending until they notice; then idle
/// connections are closed, busy ones after their answer, all within the settings' time.
pub async fn listen(app: App, socket: TcpListener, routes: Routes) {
    let limits = &app.config.http;
    let connections = Arc::new(Semaphore::new(limits.max_connections));
    let edge = Arc::new(Gateway::new(app.clone(), routes));
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
                    tokio::spawn(serve(Arc::clone(&edge), stream, peer, closing.clone(), permit));
                }
                Err(error) => {
                    tracing::warn!(error = %error, "a connection could not be accepted");
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
        // Whoever holds all permits knows that nobody else holds one.
        drop(connections.acquire_many(u32::try_from(limits.max_connections).unwrap_or(u32::MAX)).await);
        edge.finished().await;
    };
    if timeout(limits.shutdown_timeout, idle).await.is_err() {
        tracing::warn!("requests were still under way when the time to finish them was over");
    }
}

async fn serve(
    edge: Arc<Gateway>,
    stream: TcpStream,
    peer: SocketAddr,
    closing: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    // Answers are written in one piece; waiting for more to send would only cost 40 ms.
    stream.set_nodelay(true).ok();
    let limits = edge.limits();
    let stream = WriteDeadline::new(stream, limits.write_timeout);
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let edge = Arc::clone(&edge);
        async move {
            let exchange = RequestContext::new(peer.ip(), request.headers());
            Ok::<_, std::convert::Infallible>(edge.answer(exchange, request).await)
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
        tracing::debug!(error = %error, "a connection ended early");
    }
}
