//! The file that is read, any number of times and by several readers at once.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use encoding_rs::Encoding;

use super::format::{Format, HEAD_BYTES};

/// A file with what is known of it.
#[derive(Debug)]
pub struct Source {
    pub file: File,
    /// As its owner calls it: its ending has to fit what it holds. Any ending fits if it is empty.
    pub name: String,
    pub format: Format,
    pub text: TextOptions,
}

/// How a text file is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextOptions {
    /// Encoding of a file without a byte order mark; UTF-8 by default, and guessed if it is not that.
    pub encoding: Option<&'static Encoding>,
    /// Separator of cells; by default the one in a first line such as `sep=;`, else the most frequent of the first line.
    pub delimiter: Option<u8>,
}

impl Source {
    /// Tells the format of the file by its first bytes.
    pub fn new(file: File, name: &str, text: TextOptions) -> io::Result<Self> {
        let mut head = Vec::new();
        Positioned::new(file.try_clone()?).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        Ok(Self { file, name: name.to_owned(), format: Format::of(&head), text })
    }

    /// The same source for another thread.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, name: self.name.clone(), format: self.format, text: self.text })
    }

    /// Opens the file at its beginning.
    pub(super) fn open(&self) -> io::Result<Positioned> {
        Ok(Positioned::new(self.file.try_clone()?))
    }
}

/// A reader with a position of its own; copies of a [`File`] share theirs.
#[derive(Debug)]
pub(super) struct Positioned {
    file: File,
    at: u64,
}

impl Positioned {
    pub(super) fn new(file: File) -> Self {
        Self { file, at: 0 }
    }
}

impl Read for Positioned {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(into, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(by) => (self.at, by),
            SeekFrom::End(by) => (self.file.metadata()?.len(), by),
        };
        self.at = from.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
