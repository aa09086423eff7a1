//! The file that is read, any number of times and by several readers at once.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use encoding_rs::Encoding;

use super::error::Error;
use super::format::{Format, HEAD_BYTES};

/// What files with these endings hold.
const ENDINGS: [(&str, Format); 8] = [
    ("csv", Format::Text),
    ("tsv", Format::Text),
    ("tab", Format::Text),
    ("txt", Format::Text),
    ("xlsx", Format::Zip),
    ("xlsm", Format::Zip),
    ("ods", Format::Zip),
    ("xls", Format::CompoundFile),
];

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

    /// The ending of the name, in small letters.
    pub(super) fn ending(&self) -> Option<String> {
        Some(Path::new(&self.name).extension()?.to_str()?.to_ascii_lowercase())
    }

    /// Refuses a file that is not what its name says, and markup. Of a compound file only its reader can tell, since an encrypted
    /// workbook is one, whatever its ending.
    pub(super) fn check(&self) -> Result<(), Error> {
        let is = match self.format {
            Format::Text if self.is_markup()? => return Err(Error::Markup),
            Format::Text => "text",
            Format::Zip => "a workbook or another archive",
            Format::CompoundFile => return Ok(()),
            Format::Binary => return Err(Error::NotAWorkbook),
        };
        let Some(ending) = self.ending() else { return Ok(()) };
        match ENDINGS.iter().find(|(known, _)| *known == ending) {
            Some((_, format)) if *format != self.format => Err(Error::WrongEnding { ending, is: is.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Tells HTML and XML by how they begin.
    fn is_markup(&self) -> io::Result<bool> {
        let mut head = Vec::new();
        self.open()?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).trim_ascii_start().to_ascii_lowercase();
        Ok([&b"<!doctype"[..], b"<html", b"<head", b"<meta", b"<table", b"<?xml"].iter().any(|begin| head.starts_with(begin)))
    }

    /// The same source for another thread.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, name: self.name.clone(), format: self.format, text: self.text })
    }

    /// Opens the file for a reader that jumps.
    pub(super) fn input(&self) -> io::Result<Input> {
        Ok(BufReader::with_capacity(64 * 1024, self.open()?))
    }

    /// Opens the file at its beginning.
    pub(super) fn open(&self) -> io::Result<Positioned> {
        Ok(Positioned::new(self.file.try_clone()?))
    }
}

/// The file, read in large pieces.
pub(super) type Input = BufReader<Positioned>;

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
