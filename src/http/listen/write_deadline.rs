//! A deadline for answers: a client that reads none, or reads one byte by byte, loses its connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

/// Parts of refused bodies that are read at once, and the pause after each: beyond the first part of each connection, at most 128 MB
/// a second are read for nothing. No connection has a turn while it waits for its client, who may send byte by byte.
static READ_ON: Semaphore = Semaphore::const_new(2);
const PAUSE: Duration = Duration::from_millis(1);
const PART: usize = 64 * 1024;

/// Fails with [`io::ErrorKind::TimedOut`] if the peer has not taken everything within the limit after the first write that waits.
pub(crate) struct WriteDeadline {
    inner: TcpStream,
    limit: Duration,
    due: Option<Pin<Box<Sleep>>>,
    has_written: bool,
}

impl WriteDeadline {
    pub(crate) fn new(inner: TcpStream, limit: Duration) -> Self {
        Self { inner, limit, due: None, has_written: false }
    }

    /// Ends the connection. What the kernel has taken of the answer, which is easily all of it, has to be read within the limit;
    /// then the connection is reset.
    pub(crate) async fn close(mut self) {
        if !self.has_written {
            return;
        }
        let read_to_end = async {
            self.inner.shutdown().await?;
            // The rest of a body that was refused may be long, and most clients leave when they have their answer.
            let mut ignored = vec![0; PART];
            while self.inner.read(&mut ignored).await? > 0 {
                let _turn = READ_ON.acquire().await;
                sleep(PAUSE).await;
            }
            io::Result::Ok(())
        };
        // After the deadline of an answer there is no second one.
        let limit = if self.due.is_some() { Duration::ZERO } else { self.limit };
        if timeout(limit, read_to_end).await.is_err() {
            self.inner.set_zero_linger().ok();
        }
    }

    fn check<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_pending() {
            let limit = self.limit;
            let due = self.due.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
            ready!(due.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl AsyncRead for WriteDeadline {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for WriteDeadline {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.has_written = true;
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.check(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        if flushed.is_ready() {
            self.due = None;
        }
        self.check(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.check(cx, closed)
    }
}
