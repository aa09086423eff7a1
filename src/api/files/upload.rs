//! Uploads: a form with a file, which goes to the disk as it comes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, SeekFrom};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::time::timeout;

use super::form::{FilePart, Form, Part, Parts, bad_form};
use super::name;
use crate::api::Request;
use crate::error::{Error, Result};
use crate::http::message;
use crate::sheets::{self, Format};

/// An uploaded file. It has no name on the disk, so it is gone when this value is, even if the process is killed.
#[derive(Debug)]
pub struct Upload {
    /// At its beginning.
    pub file: File,
    /// As the client called it, without folders and control characters. For people only.
    pub name: String,
    pub bytes: u64,
    pub sha256: [u8; 32],
    pub format: Format,
    /// The other parts of the form.
    pub fields: BTreeMap<&'static str, String>,
}

impl Request {
    /// Reads a form with a file, within the limits of the row in the route table. The request leaves its slot meanwhile.
    pub async fn upload(&mut self, form: &Form) -> Result<Upload> {
        let boundary = message::boundary(&self.headers)?;
        self.check_announced_length()?;
        let _place = self.context.slot().expect_upload()?;
        let (limit, within) = (self.body_limit, self.body_timeout);
        self.context.put_off_deadline(within);
        let patience = self.app.config.http.body_timeout;
        let parts = Parts::new(form, &mut self.body, boundary, limit, patience);
        let whole = timeout(within, read(parts));
        let upload = self.context.slot().leave_during(whole).await?.unwrap_or(Err(Error::BodyTimeout))?;
        let fields = serde_json::to_vec(&upload.fields).map_err(Error::internal)?;
        self.digest = Sha256::new().chain_update(upload.sha256).chain_update(fields).finalize().to_vec();
        Ok(upload)
    }
}

async fn read(mut parts: Parts<'_>) -> Result<Upload> {
    let (mut stored, mut fields) = (None, BTreeMap::new());
    while let Some(part) = parts.next().await? {
        let is_repeated = match part {
            Part::File(_) if stored.is_some() => true,
            Part::File(part) => {
                stored = Some(store(part).await?);
                false
            }
            Part::Text(name, text) => fields.insert(name, text).is_some(),
        };
        if is_repeated {
            return Err(bad_form("a part is there twice"));
        }
    }
    let stored = stored.ok_or_else(|| Error::invalid("/file", "required", "the part with the file is missing"))?;
    Ok(Upload { fields, ..stored })
}

async fn store(mut part: Box<FilePart<'_>>) -> Result<Upload> {
    // Without a name from the beginning (O_TMPFILE).
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(Error::internal)?.map_err(disk)?;
    let mut sink = Sink::new(file);
    while let Some(chunk) = part.chunk().await? {
        sink.write(&chunk).await.map_err(disk)?;
    }
    let name = name::cleaned(&part.name);
    sink.finish(name).await.map_err(disk)
}

/// A file as it grows.
struct Sink {
    file: tokio::fs::File,
    bytes: u64,
    digest: Sha256,
    head: Vec<u8>,
}

impl Sink {
    fn new(file: File) -> Self {
        Self { file: file.into(), bytes: 0, digest: Sha256::new(), head: Vec::with_capacity(sheets::HEAD_BYTES) }
    }

    async fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.bytes += chunk.len() as u64;
        self.digest.update(chunk);
        self.head.extend_from_slice(&chunk[..chunk.len().min(sheets::HEAD_BYTES - self.head.len())]);
        self.file.write_all(chunk).await
    }

    async fn finish(mut self, name: String) -> io::Result<Upload> {
        self.file.flush().await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        let (file, format) = (self.file.into_std().await, Format::of(&self.head));
        Ok(Upload { file, name, bytes: self.bytes, sha256: self.digest.finalize().into(), format, fields: BTreeMap::new() })
    }
}

fn disk(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Error::StorageFull,
        _ => Error::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_said_to_be_full() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut sink = Sink::new(full);
        let written = async {
            // A write in the background reports its failure at the next one.
            sink.write(&[0; 1024]).await?;
            sink.finish(String::new()).await
        };
        assert_eq!(written.await.map_err(disk).unwrap_err().code(), "storage_full");
    }

    #[tokio::test]
    async fn a_stored_file_has_its_digest_and_format_and_begins_at_its_beginning() {
        let mut sink = Sink::new(tempfile::tempfile().unwrap());
        for chunk in [&b"name;"[..], &[b'x'; 8 * 1024], b"\0"] {
            sink.write(chunk).await.unwrap();
        }
        let mut upload = sink.finish("a".into()).await.unwrap();
        let mut text = Vec::new();
        io::Read::read_to_end(&mut upload.file, &mut text).unwrap();
        assert_eq!((text.len() as u64, upload.bytes, upload.format), (8 * 1024 + 6, 8 * 1024 + 6, Format::Text));
        assert_eq!(upload.sha256[..], Sha256::digest(&text)[..]);
    }
}
