//! A file's bytes as UTF-8, from any encoding.

use std::io::{self, Cursor, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

/// Bytes that are UTF-8 if the file is what it is said to be; the reader of rows checks that, because it knows the line.
pub(super) type Text = Box<dyn Read + Send>;

/// Removes a byte order mark, believes it, and else takes the file for what the caller says; UTF-8 by default.
pub(super) fn open(mut file: impl Read + Send + 'static, said: Option<&'static Encoding>) -> io::Result<Text> {
    let mut start = Vec::new();
    file.by_ref().take(3).read_to_end(&mut start)?;
    let (encoding, mark) = Encoding::for_bom(&start).unwrap_or((said.unwrap_or(UTF_8), 0));
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

/// Translates from another encoding while it is read.
struct Decoded<R> {
    source: R,
    decoder: Decoder,
    /// What is translated and not yet handed out.
    text: Cursor<Vec<u8>>,
    ended: bool,
}

impl<R: Read> Decoded<R> {
    fn translate(&mut self) -> io::Result<()> {
        let mut bytes = [0; 8_192];
        let length = self.source.read(&mut bytes)?;
        self.ended = length == 0;
        // Sized by what the decoder may need at most, so it never stops for want of room.
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
            self.translate()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], said: Option<&'static Encoding>, expected: &str) {
        let mut text = String::new();
        open(Cursor::new(bytes.to_vec()), said).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }

    #[test]
    fn marks_are_believed_and_removed() {
        check(b"\xef\xbb\xbfM\xc3\xbcller", None, "Müller");
        check(b"\xff\xfeM\0\xfc\0", None, "Mü");
        check(b"\xfe\xff\0M\0\xfc", Some(encoding_rs::WINDOWS_1252), "Mü");
        check(b"", None, "");
    }

    #[test]
    fn another_encoding_is_read_when_it_is_named() {
        check(b"M\xfcller \x80", Some(encoding_rs::WINDOWS_1252), "Müller €");
        let long = vec![0xfc; 40_000];
        check(&long, Some(encoding_rs::WINDOWS_1252), &"ü".repeat(40_000));
    }

    #[test]
    fn bytes_that_the_named_encoding_has_not_are_an_error() {
        let mut text = String::new();
        let error = open(Cursor::new(b"ab\xff\xff".to_vec()), Some(encoding_rs::SHIFT_JIS)).unwrap().read_to_string(&mut text);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
