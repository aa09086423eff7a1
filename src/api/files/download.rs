//! Downloads: files and what a task writes, sent as clients take them.
//!
//! A client that takes too little loses its connection: each batch that waits in the connection has the write deadline of
//! `http::listen`.

use std::fs::File;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use hyper::header::{CONTENT_DISPOSITION, CONTENT_LENGTH};
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;
use tokio_util::task::AbortOnDropHandle;

use super::name::disposition;
use crate::api::Reply;
use crate::error::{Error, Result};

/// Bytes read from a file at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Chunks of a task that wait for the client; then the task waits.
const WAITING_CHUNKS: usize = 2;

/// Where a task writes its chunks.
#[derive(Clone, Debug)]
pub struct Sink(mpsc::Sender<Result<Bytes>>);

impl Sink {
    /// Hands on a chunk once there is room for it. If the client has gone, the task ends here.
    pub async fn send(&self, chunk: impl Into<Bytes>) {
        self.hand_on(Ok(chunk.into())).await;
    }

    async fn hand_on(&self, chunk: Result<Bytes>) {
        if self.0.send(chunk).await.is_err() {
            // The body is gone, and with it the handle of this task, which is about to be aborted.
            std::future::pending::<()>().await;
        }
    }
}

/// Answers with a file, to be saved under a name.
pub fn file(name: &str, content_type: &str, file: File) -> Result<Reply> {
    let length = file.metadata().map_err(Error::internal)?.len();
    let chunks = ReaderStream::with_capacity(tokio::fs::File::from_std(file), CHUNK_BYTES);
    let chunks = chunks.map(|chunk| chunk.map_err(Error::internal));
    Ok(attachment(name, content_type, chunks).with(CONTENT_LENGTH, &length.to_string()))
}

/// Answers with what a task writes, to be saved under a name. If the task fails, the client sees that the body is not complete.
///
/// The task is aborted at the next thing that it waits for when the client has gone.
pub fn generated<W>(name: &str, content_type: &str, write: impl FnOnce(Sink) -> W) -> Reply
where
    W: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(WAITING_CHUNKS);
    let sink = Sink(sender);
    let written = write(sink.clone());
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = written.await {
            tracing::error!(error = %error, "a download failed");
            sink.hand_on(Err(error)).await;
        }
    }));
    let chunks = stream::poll_fn(move |cx| {
        // Keeps the task for as long as the body is there.
        let _task = &task;
        receiver.poll_recv(cx)
    });
    attachment(name, content_type, chunks)
}

fn attachment(name: &str, content_type: &str, chunks: impl Stream<Item = Result<Bytes>> + Send + Sync + 'static) -> Reply {
    Reply::stream(content_type, chunks).with(CONTENT_DISPOSITION, &disposition(name))
}
