//! Which encoding a text file has.

use std::io::{self, Read};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};

use super::super::book::Warning;
use super::super::format::{HEAD_BYTES, utf16_without_mark};
use super::super::source::Source;

/// Bytes that are looked at in one go.
const CHUNK_BYTES: usize = 64 * 1024;

/// The encoding by the byte order mark, as given, or UTF-8; if it is none of them it is guessed, with a warning.
pub(super) fn of(source: &Source) -> io::Result<(&'static Encoding, Option<Warning>)> {
    let mut head = Vec::new();
    source.open()?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let marked = Encoding::for_bom(&head).map(|(encoding, _)| encoding);
    if let Some(encoding) = marked.or(source.text.encoding) {
        return Ok((encoding, None));
    }
    let guess = match utf16_without_mark(&head) {
        Some(encoding) => encoding,
        None if is_utf8(source.open()?)? => return Ok((UTF_8, None)),
        None => guess(source.open()?)?,
    };
    Ok((guess, Some(guessed(guess))))
}

fn guessed(encoding: &'static Encoding) -> Warning {
    let name = encoding.name();
    let message = format!("the file is not UTF-8 and is read as {name}, a guess; if its letters look wrong, name its encoding");
    Warning { code: "guessed_encoding".to_owned(), message }
}

fn is_utf8(mut file: impl Read) -> io::Result<bool> {
    let mut bytes = vec![0; CHUNK_BYTES];
    // Of a character that is cut by the end of a chunk.
    let mut kept = 0;
    loop {
        let length = file.read(&mut bytes[kept..])?;
        let read = &bytes[..kept + length];
        let valid = match std::str::from_utf8(read) {
            Ok(_) => read.len(),
            Err(error) if error.error_len().is_some() || length == 0 => return Ok(false),
            Err(error) => error.valid_up_to(),
        };
        if length == 0 {
            return Ok(true);
        }
        let end = read.len();
        bytes.copy_within(valid..end, 0);
        kept = end - valid;
    }
}

fn guess(mut file: impl Read) -> io::Result<&'static Encoding> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let mut bytes = vec![0; CHUNK_BYTES];
    loop {
        let length = file.read(&mut bytes)?;
        detector.feed(&bytes[..length], length == 0);
        if length == 0 {
            return Ok(detector.guess(None, Utf8Detection::Deny));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_told_across_chunks() {
        let long = format!("a{}", "ü".repeat(CHUNK_BYTES));
        for (bytes, expected) in [
            (&b""[..], true),
            (b"abc", true),
            (long.as_bytes(), true),
            (&long.as_bytes()[..long.len() - 1], false),
            (b"M\xfcller", false),
            (b"M\xc3", false),
        ] {
            assert_eq!(is_utf8(bytes).unwrap(), expected);
        }
    }
}
