//! One event is one line of bounded length, whatever a client made the program log.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

/// Longest line, in bytes: what log shippers take without splitting it.
const LONGEST: usize = 4 * 1024;

/// Longest text in a line that had to be shortened, in characters: eight of them leave room for the rest.
const LONGEST_TEXT: usize = 256;

/// Writes events, each of which comes in one piece.
pub(super) struct OneLine<W>(pub(super) W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.write_all(&shortened(event)).map(|()| event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn shortened(event: &[u8]) -> Cow<'_, [u8]> {
    let text = event.strip_suffix(b"\n").unwrap_or(event);
    if event.len() <= LONGEST && memchr::memchr2(b'\n', b'\r', text).is_none() {
        return Cow::Borrowed(event);
    }
    let text = match serde_json::from_slice::<Value>(text) {
        Ok(mut json) => {
            cut(&mut json);
            json.to_string()
        }
        Err(_) => String::from_utf8_lossy(text).replace(['\n', '\r'], " "),
    };
    // Valid JSON is this long only with hundreds of members, which no event has.
    let end = (0..LONGEST.min(text.len() + 1)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    Cow::Owned(format!("{}\n", &text[..end]).into_bytes())
}

fn cut(json: &mut Value) {
    match json {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
                text.truncate(end);
                text.push('…');
            }
        }
        Value::Array(items) => items.iter_mut().for_each(cut),
        Value::Object(members) => members.values_mut().for_each(cut),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &str) -> String {
        let mut line = Vec::new();
        OneLine(&mut line).write_all(event.as_bytes()).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_short_line_stays_as_it_is() {
        for line in ["{\"message\":\"a\\nb\"}\n", "INFO request answered\n"] {
            assert_eq!(written(line), line);
        }
    }

    #[test]
    fn a_long_event_of_json_stays_json() {
        let event =
            format!("{}\n", serde_json::json!({ "level": "INFO", "text": "é".repeat(1 << 20), "inner": ["x".repeat(9_000)] }));
        let line = written(&event);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert!(line.len() <= LONGEST && line.ends_with("}\n"), "{}", line.len());
        assert_eq!(read["text"], format!("{}…", "é".repeat(LONGEST_TEXT)));
    }

    #[test]
    fn a_text_is_one_line_too() {
        assert_eq!(written("one\r\nINFO two\nthree\n"), "one  INFO two three\n");
        let line = written(&format!("{}\n", "é".repeat(9_000)));
        assert!(line.len() <= LONGEST && line.ends_with("é\n"), "{}", line.len());
    }
}
