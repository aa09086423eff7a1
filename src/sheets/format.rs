//! What kind of file it is, by its first bytes and not by what the client says.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// Bytes at the beginning that [`Format::of`] looks at.
pub const HEAD_BYTES: usize = 4 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A ZIP archive, as the workbooks xlsx, xlsm and ods are.
    Zip,
    /// A compound file (MS-CFB), as older workbooks, xls, and encrypted ones are.
    CompoundFile,
    /// Text in any encoding, as csv and tsv are.
    Text,
    Binary,
}

impl Format {
    /// Tells the format of a file by its first bytes.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        const COMPOUND_FILE: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
        // The last one is an archive without entries.
        if [b"PK\x03\x04", b"PK\x05\x06"].iter().any(|magic| head.starts_with(*magic)) {
            Self::Zip
        } else if head.starts_with(&COMPOUND_FILE) {
            Self::CompoundFile
        } else if is_text(head) {
            Self::Text
        } else {
            Self::Binary
        }
    }
}

/// Text has no control characters but blanks; only that of UTF-16 has NUL bytes.
fn is_text(head: &[u8]) -> bool {
    let is_utf16 = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) || utf16_without_mark(head).is_some();
    let is_unfit = |byte: &u8| *byte < b' ' && !b"\t\n\x0c\r\x1b".contains(byte);
    (is_utf16 || !head.iter().any(is_unfit)) && !head.starts_with(b"%PDF")
}

/// Tells UTF-16 without a byte order mark: most of its characters are Latin, with a NUL as their high byte and none as the low one.
pub(super) fn utf16_without_mark(head: &[u8]) -> Option<&'static Encoding> {
    let (pairs, _) = head.as_chunks::<2>();
    let nuls = |at: usize| pairs.iter().filter(|pair| pair[at] == 0).count();
    match (nuls(0), nuls(1)) {
        (0, high) if high > pairs.len() / 2 => Some(UTF_16LE),
        (high, 0) if high > pairs.len() / 2 => Some(UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_the_first_bytes() {
        for (head, format) in [
            (&b"PK\x03\x04\x14\x00"[..], Format::Zip),
            (b"PK\x05\x06\x00", Format::Zip),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", Format::CompoundFile),
            (b"name;phone\r\nJos\xe9;1", Format::Text),
            (b"\xef\xbb\xbfname,phone\n", Format::Text),
            (b"\xff\xfen\x00a\x00", Format::Text),
            (b"", Format::Text),
            (b"PK", Format::Text),
            (b"<html><script>", Format::Text),
            (b"%PDF-1.7\n", Format::Binary),
            (b"\x89PNG\r\n\x1a\n\x00", Format::Binary),
            (b"\x7fELF\x02\x01", Format::Binary),
            (b"n\x00a\x00m\x00e\x00", Format::Text),
            (b"\x00n\x00a\x00m\x00e", Format::Text),
            (b"n\x00\x00\x00m\x00e\x00", Format::Binary),
        ] {
            assert_eq!(Format::of(head), format, "{head:?}");
        }
    }
}
