//! A limit of the frames that a client sends on a WebSocket, whichever library reads them: libraries take messages of 64 MiB, and
//! pings and empty fragments without end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of a message in all its frames: clients send small JSON.
const MOST_BYTES: u64 = 64 * 1024;

/// Frames in a minute, and at once after a while of silence.
const MOST_FRAMES: f64 = 100.0;
const MINUTE: Duration = Duration::from_secs(60);

/// What a client did. The connection reads an error with this in it, and can still be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameViolation {
    #[error("a message is larger than 65536 bytes")]
    TooLarge,
    #[error("more than 100 frames in a minute")]
    TooMany,
}

impl FrameViolation {
    /// Finds it in an error of a connection.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// How many frames or messages a client may send now.
#[derive(Debug)]
pub struct FrameBudget {
    left: f64,
    counted_at: Instant,
}

impl FrameBudget {
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { left: MOST_FRAMES, counted_at: now }
    }

    /// Counts one.
    pub fn take(&mut self, now: Instant) -> Result<(), FrameViolation> {
        let refilled = now.duration_since(self.counted_at).as_secs_f64() / MINUTE.as_secs_f64() * MOST_FRAMES;
        (self.left, self.counted_at) = ((self.left + refilled).min(MOST_FRAMES), now);
        if self.left < 1.0 {
            return Err(FrameViolation::TooMany);
        }
        self.left -= 1.0;
        Ok(())
    }
}

/// A connection whose frames are counted once it is upgraded.
pub(super) struct FrameLimit<S> {
    inner: S,
    is_upgraded: Arc<AtomicBool>,
    frames: Frames,
}

impl<S> FrameLimit<S> {
    /// Wraps a connection; the flag says when it carries frames.
    pub(super) fn new(inner: S) -> (Arc<AtomicBool>, Self) {
        let is_upgraded = Arc::new(AtomicBool::new(false));
        (Arc::clone(&is_upgraded), Self { inner, is_upgraded, frames: Frames::new(Instant::now()) })
    }

    pub(super) fn into_inner(self) -> S {
        self.inner
    }
}

/// The frames that were seen so far (RFC 6455, 5.2).
struct Frames {
    /// The beginning of the frame that is arriving, while its length is unknown.
    head: [u8; 14],
    head_length: usize,
    /// Bytes of the payload that are still to come.
    payload: u64,
    /// Bytes of the message in its frames so far.
    message: u64,
    budget: FrameBudget,
}

impl Frames {
    fn new(now: Instant) -> Self {
        Self { head: [0; 14], head_length: 0, payload: 0, message: 0, budget: FrameBudget::new(now) }
    }

    fn see(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), FrameViolation> {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head[self.head_length] = bytes[0];
            self.head_length += 1;
            bytes = &bytes[1..];
            if let Some(length) = self.length() {
                self.head_length = 0;
                self.payload = length;
                self.count(length, now)?;
            }
        }
        Ok(())
    }

    /// Bytes of the payload, once the head is complete.
    fn length(&self) -> Option<u64> {
        let first = self.head[1];
        let (short, mask) = (first & 0x7f, if first & 0x80 == 0 { 0 } else { 4 });
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.head_length < 2 || self.head_length < 2 + extended + mask {
            return None;
        }
        let number = self.head[2..2 + extended].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        Some(if extended == 0 { short.into() } else { number })
    }

    fn count(&mut self, length: u64, now: Instant) -> Result<(), FrameViolation> {
        let (is_last, is_control) = (self.head[0] & 0x80 != 0, self.head[0] & 0x08 != 0);
        if !is_control {
            self.message = self.message.saturating_add(length);
            if self.message > MOST_BYTES {
                return Err(FrameViolation::TooLarge);
            }
            if is_last {
                self.message = 0;
            }
        }
        self.budget.take(now)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FrameLimit<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if self.is_upgraded.load(Ordering::Acquire) {
            self.frames.see(&buffer.filled()[before..], Instant::now()).map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FrameLimit<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIN_TEXT: u8 = 0x81;
    const TEXT: u8 = 0x01;
    const CONTINUED: u8 = 0x00;
    const PING: u8 = 0x89;

    /// A masked frame.
    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match u16::try_from(length) {
            Ok(short) if short < 126 => frame.push(0x80 | short as u8),
            Ok(medium) => {
                frame.push(0x80 | 126);
                frame.extend(medium.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.resize(frame.len() + length, 0xff);
        frame
    }

    /// What comes of the frames, in pieces of every size.
    fn check(frames: &[Vec<u8>], expected: Result<(), FrameViolation>) {
        let bytes = frames.concat();
        for piece in [1, 2, 3, 7, 1000, bytes.len()] {
            let now = Instant::now();
            let mut seen = Frames::new(now);
            let result = bytes.chunks(piece).try_for_each(|piece| seen.see(piece, now));
            assert_eq!(result, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn messages_are_bounded_whole_and_in_fragments() {
        check(&[frame(FIN_TEXT, 0), frame(FIN_TEXT, 125), frame(FIN_TEXT, 126), frame(PING, 3)], Ok(()));
        check(&[frame(FIN_TEXT, 65_536), frame(FIN_TEXT, 65_536)], Ok(()));
        check(&[frame(FIN_TEXT, 65_537)], Err(FrameViolation::TooLarge));
        check(&[frame(TEXT, 40_000), frame(PING, 5), frame(CONTINUED, 30_000)], Err(FrameViolation::TooLarge));
        let mut huge = frame(FIN_TEXT, 65_537);
        huge[2..10].copy_from_slice(&u64::MAX.to_be_bytes());
        check(&[huge[..14].to_vec()], Err(FrameViolation::TooLarge));
    }

    #[test]
    fn frames_are_counted_whatever_they_are() {
        check(&vec![frame(PING, 0); 100], Ok(()));
        check(&vec![frame(PING, 0); 101], Err(FrameViolation::TooMany));
        check(&vec![frame(CONTINUED, 0); 101], Err(FrameViolation::TooMany));
        let (mut seen, start) = (Frames::new(Instant::now()), Instant::now());
        for second in 0..300 {
            seen.see(&frame(FIN_TEXT, 10), start + Duration::from_secs(second)).unwrap();
        }
    }
}
