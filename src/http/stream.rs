//! The connection as hyper sees it: writes have a deadline, and hyper's own refusals leave as problem details.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A connection whose peer has to take what is written to it: from the first write that has to wait, everything has to be gone
/// within the deadline.
pub(crate) struct Bounded<S> {
    inner: S,
    limit: Duration,
    due: Option<Pin<Box<Sleep>>>,
    refusal: Option<Refusal>,
}

/// A refusal on its way to the client.
struct Refusal {
    bytes: Vec<u8>,
    sent: usize,
    /// Length of what hyper wrote instead, reported once all is sent.
    replaced: usize,
}

impl<S> Bounded<S> {
    pub(crate) fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit, due: None, refusal: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_pending() {
            let limit = self.limit;
            let due = self.due.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
            ready!(due.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.refusal.is_none() {
            this.refusal = refusal(bytes).map(|own| Refusal { bytes: own, sent: 0, replaced: bytes.len() });
        }
        let Some(refusal) = &mut this.refusal else {
            let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
            return this.watch(cx, written);
        };
        while refusal.sent < refusal.bytes.len() {
            match Pin::new(&mut this.inner).poll_write(cx, &refusal.bytes[refusal.sent..]) {
                Poll::Ready(Ok(sent)) => refusal.sent += sent,
                waiting => return this.watch(cx, waiting),
            }
        }
        let replaced = refusal.replaced;
        this.refusal = None;
        Poll::Ready(Ok(replaced))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        if flushed.is_ready() {
            self.due = None;
        }
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, closed)
    }
}

/// Hyper refuses requests that it cannot parse with an empty answer, before any code of ours runs. Such an answer is known by its
/// status line and by the missing name that all of ours have; this returns what to send in its place.
fn refusal(bytes: &[u8]) -> Option<Vec<u8>> {
    let status = std::str::from_utf8(bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).ok()?;
    let (code, title, detail) = match status {
        "400" => ("bad_request", "Bad Request", "the request is not valid HTTP"),
        "414" => ("uri_too_long", "URI Too Long", "the address is too long"),
        "431" => ("headers_too_large", "Request Header Fields Too Large", "the headers are too many or too large"),
        _ => return None,
    };
    let head = std::str::from_utf8(bytes).ok()?;
    if head.contains("x-request-id") || !head.contains("content-length: 0\r\n") {
        return None;
    }
    let body = format!(
        r#"{{"type":"urn:collections:error:{code}","title":"{title}","status":{status},"detail":"{detail}","code":"{code}","errors":[],"statusCode":{status},"message":"{detail}"}}"#
    );
    let head = format!(
        "HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        body.len()
    );
    Some([head, body].concat().into_bytes())
}
