//! What the reading process answers: frames of a length in four bytes, and what it says in the format of postcard.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::sheets::Batch;
use crate::sheets::book::Book;
use crate::sheets::error::Error;

/// Most bytes of a frame. A batch ends with the row that makes it large, and a survey keeps a sample of a bounded size.
const MAX_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Frame {
    Book(Book),
    /// The sheet is there, and its rows follow.
    Opened,
    Rows(Batch),
    End,
    Failed(Error),
}

impl Frame {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Book(_) => "a book",
            Self::Opened => "that it is open",
            Self::Rows(_) => "rows",
            Self::End => "the end",
            Self::Failed(_) => "an error",
        }
    }

    pub(super) fn write(&self, into: &mut impl Write) -> io::Result<()> {
        let bytes = postcard::to_stdvec(self).map_err(io::Error::other)?;
        if bytes.len() > MAX_BYTES {
            return Err(io::Error::other("the frame is too long"));
        }
        into.write_all(&(bytes.len() as u32).to_le_bytes())?;
        into.write_all(&bytes)?;
        into.flush()
    }

    /// Reads a frame; none if the process has ended before it was whole.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        match Self::read_whole(from).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            read => read.map(Some),
        }
    }
    async fn read_whole(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let length = from.read_u32_le().await? as usize;
        if length > MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes).await?;
        postcard::from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}
