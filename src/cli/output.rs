//! The file that a command writes.

use std::io::{self, Read, Write as _};
use std::path::Path;

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// Where the file goes.
pub(super) enum Output<'a> {
    Standard,
    /// Written beside its place, and put there when it is complete.
    File(NamedTempFile, &'a Path),
}

impl<'a> Output<'a> {
    pub(super) fn open(path: Option<&'a Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Standard) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = NamedTempFile::new_in(folder).with_context(|| format!("cannot write to {}", folder.display()))?;
        Ok(Self::File(file, path))
    }

    pub(super) fn write(&mut self, mut from: impl Read) -> anyhow::Result<()> {
        match self {
            Self::Standard => io::copy(&mut from, &mut io::stdout()).map(drop).context("cannot write to standard output"),
            Self::File(file, path) => {
                io::copy(&mut from, file).map(drop).with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }

    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Standard => io::stdout().flush().context("cannot write to standard output"),
            Self::File(file, path) => file.persist(path).map(drop).with_context(|| format!("cannot write {}", path.display())),
        }
    }
}
