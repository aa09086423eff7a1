//! The text of a file as UTF-8, from any encoding.

use std::io::{self, Cursor, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

/// Bytes that should be UTF-8. The reader of rows checks them, because it knows the line.
pub type Text = Box<dyn Read + Send>;

/// Decodes by the byte order mark, which is removed, else by the given encoding, else as UTF-8.
pub fn open(mut file: impl Read + Send + 'static, given: Option<&'static Encoding>) -> io::Result<Text> {
    let mut start = Vec::new();
    file.by_ref().take(3).read_to_end(&mut start)?;
    let (encoding, mark) = Encoding::for_bom(&start).unwrap_or((given.unwrap_or(UTF_8), 0));
    let rest = Cursor::new(start.split_off(mark)).chain(file);
    if encoding == UTF_8 {
        return Ok(Box::new(rest));
    }
    Ok(Box::new(Decoded {
        source: rest,
        decoder: encoding.new_decoder_without_bom_handling(),
        text: Cursor::default(),
        ended: false,
    }))
}

/// Decodes while it is read.
struct Decoded<R> {
    source: R,
    decoder: Decoder,
    /// Decoded bytes that were not read yet.
    text: Cursor<Vec<u8>>,
    ended: bool,
}

impl<R: Read> Decoded<R> {
    fn decode(&mut self) -> io::Result<()> {
        let mut bytes = [0; 8_192];
        let length = self.source.read(&mut bytes)?;
        self.ended = length == 0;
        // The size that the decoder needs at most, so that it never stops early.
        let room = self.decoder.max_utf8_buffer_length_without_replacement(length).unwrap_or(0);
        let mut text = vec![0; room];
        let (result, _, written) = self.decoder.decode_to_utf8_without_replacement(&bytes[..length], &mut text, self.ended);
        if result != DecoderResult::InputEmpty {
            let name = self.decoder.encoding().name();
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the file is not {name}")));
        }
        text.truncate(written);
        self.text = Cursor::new(text);
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.text.read(into)?;
            if length > 0 || self.ended || into.is_empty() {
                return Ok(length);
            }
            self.decode()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], given: Option<&'static Encoding>, expected: &str) {
        let mut text = String::new();
        open(Cursor::new(bytes.to_vec()), given).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }

    #[test]
    fn a_byte_order_mark_decides_and_is_removed() {
        check(b"\xef\xbb\xbfM\xc3\xbcller", None, "Müller");
        check(b"\xff\xfeM\0\xfc\0", None, "Mü");
        check(b"\xfe\xff\0M\0\xfc", Some(encoding_rs::WINDOWS_1252), "Mü");
        check(b"", None, "");
    }

    #[test]
    fn a_given_encoding_is_decoded() {
        check(b"M\xfcller \x80", Some(encoding_rs::WINDOWS_1252), "Müller €");
        let long = vec![0xfc; 40_000];
        check(&long, Some(encoding_rs::WINDOWS_1252), &"ü".repeat(40_000));
    }

    #[test]
    fn invalid_bytes_of_the_given_encoding_are_an_error() {
        let mut text = String::new();
        let error = open(Cursor::new(b"ab\xff\xff".to_vec()), Some(encoding_rs::SHIFT_JIS)).unwrap().read_to_string(&mut text);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
