//! Workbooks: xlsx, xlsm, xls and ods, which another process of this program reads.
//!
//! A workbook of a few kilobytes can make a reader take all memory or all time, and an allocation that fails ends its process. So
//! the reader is a process with limits, without an environment, which gets the file as its standard input and answers in frames. It
//! is killed when the answer is not wanted any more.

mod archive;
mod cell;
mod collect;
mod frame;
mod layout;
mod process;
mod ranges;
mod reader;
mod xlsx;

use tokio::sync::mpsc;

use super::book::Book;
use super::error::Error;
use super::source::Source;
use super::{Batch, Limits, WAITING_BATCHES};
use frame::Frame;
use process::Process;

pub use reader::Reader;

/// Reads all sheets once.
pub(super) async fn survey(source: &Source, limits: &Limits) -> Result<Book, Error> {
    match Process::start(source, None, limits)?.next().await? {
        Frame::Book(book) => Ok(book),
        frame => Err(unexpected(&frame)),
    }
}

/// Opens a sheet. The process is killed when the receiver is dropped.
pub(super) async fn rows(source: &Source, sheet: &str, limits: &Limits) -> Result<mpsc::Receiver<Result<Batch, Error>>, Error> {
    let mut process = Process::start(source, Some(sheet), limits)?;
    match process.next().await? {
        Frame::Opened => {}
        frame => return Err(unexpected(&frame)),
    }
    let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
    tokio::spawn(async move {
        loop {
            let frame = tokio::select! {
                () = sender.closed() => return,
                frame = process.next() => frame,
            };
            let batch = match frame {
                Ok(Frame::Rows(batch)) => Ok(batch),
                Ok(Frame::End) => return,
                Ok(frame) => Err(unexpected(&frame)),
                Err(error) => Err(error),
            };
            let is_last = batch.is_err();
            if sender.send(batch).await.is_err() || is_last {
                return;
            }
        }
    });
    Ok(receiver)
}

fn unexpected(frame: &Frame) -> Error {
    Error::internal(format!("the reader of workbooks answers {} out of turn", frame.name()))
}
