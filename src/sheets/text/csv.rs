//! Rows of a CSV file, one at a time, in bounded memory. A broken row does not affect the next one.
//!
//! Not the `csv` crate: it reads everything after a quote that is never closed as one cell, to the end of the file.

use std::io::{self, Read};
use std::ops::Range;

use super::super::book::{BrokenRow, Cell, Row};

/// Reads rows; blank ones are counted and skipped.
pub struct Rows<R> {
    source: R,
    delimiter: u8,
    max_row_bytes: usize,
    buffer: Vec<u8>,
    /// Start of the next row in the buffer.
    start: usize,
    ended: bool,
    number: u64,
    line: u64,
    /// Bytes of the source before the next row.
    consumed: u64,
}

/// The result of parsing one row.
enum Split {
    /// Its cells, and its length with the line end.
    Row(Vec<Vec<u8>>, usize),
    /// More bytes are needed: a quote is open, or the line has not ended.
    Unfinished { quoted: bool },
    /// Text follows a closing quote.
    Unbalanced,
}

impl<R: Read> Rows<R> {
    /// Begins to read. The default delimiter is the most frequent one of the first line.
    pub fn new(source: R, delimiter: Option<u8>, max_row_bytes: usize) -> io::Result<Self> {
        let mut rows = Self {
            source,
            delimiter: b',',
            max_row_bytes,
            buffer: Vec::new(),
            start: 0,
            ended: false,
            number: 0,
            line: 1,
            consumed: 0,
        };
        rows.fill()?;
        let named = named_delimiter(&rows.buffer);
        rows.delimiter = delimiter.or(named).unwrap_or_else(|| sniff(&rows.buffer));
        if named.is_some() {
            // Spreadsheets do not count this line.
            rows.skip_line()?;
            rows.number = 0;
        }
        Ok(rows)
    }

    /// Returns the next row that is not blank; `None` at the end.
    pub fn next_row(&mut self) -> io::Result<Option<Result<Row, BrokenRow>>> {
        loop {
            if self.start == self.buffer.len() && self.ended {
                return Ok(None);
            }
            let rest = &self.buffer[self.start..];
            match split(rest, self.delimiter, self.ended) {
                Split::Row(cells, length) => {
                    let line = self.line;
                    self.advance(length);
                    if cells.iter().all(|cell| cell.trim_ascii().is_empty()) {
                        continue;
                    }
                    return Ok(Some(self.decode(cells, line)));
                }
                Split::Unfinished { .. } if !self.ended && rest.len() < self.max_row_bytes => self.fill()?,
                Split::Unfinished { quoted: false } => {
                    let message = format!("the row is longer than {} bytes", self.max_row_bytes);
                    return self.broken("row_too_long", message).map(Some);
                }
                Split::Unfinished { quoted: true } => {
                    let message = "a quote is opened and never closed".to_owned();
                    return self.broken("unbalanced_quotes", message).map(Some);
                }
                Split::Unbalanced => {
                    let message = "text follows a closing quote; a quote inside a cell is written twice".to_owned();
                    return self.broken("unbalanced_quotes", message).map(Some);
                }
            }
        }
    }

    /// The line of the next row, as a text editor counts, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Skips the line in which a broken row begins.
    fn broken(&mut self, code: &str, message: String) -> io::Result<Result<Row, BrokenRow>> {
        let line = self.line;
        self.skip_line()?;
        Ok(Err(BrokenRow { number: self.number, line, code: code.to_owned(), message }))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let rest = &self.buffer[self.start..];
            let end = rest.iter().position(|byte| *byte == b'\n' || *byte == b'\r');
            match end.and_then(|end| line_end(&rest[end..], self.ended).map(|length| end + length)) {
                Some(length) => {
                    self.advance(length);
                    return Ok(());
                }
                None if self.ended => {
                    self.advance(rest.len());
                    return Ok(());
                }
                None => {
                    // Only a carriage return is kept: its line feed may follow.
                    let kept = usize::from(end.is_some());
                    let dropped = rest.len() - kept;
                    self.start += dropped;
                    self.consumed += dropped as u64;
                    self.fill()?;
                }
            }
        }
    }

    fn decode(&self, cells: Vec<Vec<u8>>, line: u64) -> Result<Row, BrokenRow> {
        let number = self.number;
        let read = |bytes| String::from_utf8(bytes).map(|text| if text.is_empty() { Cell::Blank } else { Cell::Text(text) });
        let cells = cells.into_iter().map(read).collect::<Result<_, _>>();
        cells.map(|cells| Row { number, is_hidden: false, cells }).map_err(|_| BrokenRow {
            number,
            line,
            code: "not_utf8".to_owned(),
            message: "the row is not UTF-8".to_owned(),
        })
    }

    fn advance(&mut self, length: usize) {
        let row = &self.buffer[self.start..self.start + length];
        let feeds = row.iter().filter(|byte| **byte == b'\n').count();
        let returns = row.iter().filter(|byte| **byte == b'\r').count();
        self.line += feeds.max(returns) as u64;
        self.number += 1;
        self.start += length;
        self.consumed += length as u64;
    }

    /// Reads as much again as is buffered, so that a long row is not scanned over and over.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let wanted = self.buffer.len().max(65_536) as u64;
        let got = self.source.by_ref().take(wanted).read_to_end(&mut self.buffer)?;
        self.ended = got == 0;
        Ok(())
    }
}

/// Parses the row at the beginning of the bytes.
fn split(bytes: &[u8], delimiter: u8, ended: bool) -> Split {
    let mut cells = Vec::new();
    let mut at = 0;
    loop {
        let blanks = bytes[at..].iter().take_while(|byte| **byte == b' ').count();
        let cell = if bytes.get(at + blanks) == Some(&b'"') {
            match quoted(bytes, at + blanks + 1) {
                Some((cell, end)) => {
                    at = end + bytes[end..].iter().take_while(|byte| **byte == b' ').count();
                    cell
                }
                None => return Split::Unfinished { quoted: true },
            }
        } else {
            let Range { start, end } = at..bytes[at..]
                .iter()
                .position(|byte| *byte == delimiter || *byte == b'\n' || *byte == b'\r')
                .map_or(bytes.len(), |length| at + length);
            at = end;
            bytes[start..end].to_vec()
        };
        cells.push(cell);
        match bytes.get(at) {
            Some(byte) if *byte == delimiter => at += 1,
            Some(b'\n' | b'\r') => {
                return match line_end(&bytes[at..], ended) {
                    Some(length) => Split::Row(cells, at + length),
                    None => Split::Unfinished { quoted: false },
                };
            }
            Some(_) => return Split::Unbalanced,
            None if ended => return Split::Row(cells, at),
            None => return Split::Unfinished { quoted: false },
        }
    }
}

/// Returns the text of a quoted cell after its opening quote, and the end of the cell; `None` without a closing quote.
fn quoted(bytes: &[u8], from: usize) -> Option<(Vec<u8>, usize)> {
    let mut cell = Vec::new();
    let mut at = from;
    loop {
        let length = bytes[at..].iter().position(|byte| *byte == b'"')?;
        cell.extend_from_slice(&bytes[at..at + length]);
        at += length + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some((cell, at));
        }
        cell.push(b'"');
        at += 1;
    }
}

/// Returns the length of a line end (LF, CRLF or CR); `None` if the byte after a CR is missing.
fn line_end(bytes: &[u8], ended: bool) -> Option<usize> {
    match bytes {
        [b'\r', b'\n', ..] => Some(2),
        [b'\r'] if !ended => None,
        _ => Some(1),
    }
}

/// Returns the delimiter that a first line such as `sep=;` names, as some spreadsheets write it.
fn named_delimiter(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter, b'\r' | b'\n', ..] => Some(*delimiter),
        _ => None,
    }
}

/// Returns the most frequent delimiter of the first line, outside of quotes.
fn sniff(bytes: &[u8]) -> u8 {
    let mut inside = false;
    let line = bytes.iter().take_while(|byte| **byte != b'\n' && **byte != b'\r').filter(|byte| {
        inside ^= **byte == b'"';
        !inside
    });
    let line: Vec<u8> = line.copied().collect();
    let count = |delimiter: &u8| line.iter().filter(|byte| *byte == delimiter).count();
    // The last of equals wins: the comma.
    [b'|', b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_ROW_BYTES: usize = 200_000;

    /// Returns few bytes at a time, so that every boundary falls between two reads.
    struct Trickle(Vec<u8>);

    impl Read for Trickle {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(into.len()).min(3);
            into[..length].copy_from_slice(&self.0.drain(..length).collect::<Vec<_>>());
            Ok(length)
        }
    }

    fn read(bytes: &[u8]) -> Vec<String> {
        let mut rows = Rows::new(Trickle(bytes.to_vec()), None, MAX_ROW_BYTES).unwrap();
        let mut found = Vec::new();
        while let Some(row) = rows.next_row().unwrap() {
            found.push(match row {
                Ok(row) => format!("{} {}", row.number, row.cells.iter().map(Cell::to_string).collect::<Vec<_>>().join("·")),
                Err(broken) => format!("{} {} in line {}", broken.number, broken.code, broken.line),
            });
        }
        assert_eq!(rows.consumed, bytes.len() as u64, "every byte is accounted for");
        found
    }

    fn check(bytes: &str, expected: &[&str]) {
        assert_eq!(read(bytes.as_bytes()), expected, "{bytes:?}");
    }

    #[test]
    fn all_line_ends_and_delimiters_are_read() {
        for text in ["a,b\nc,d\n", "a,b\r\nc,d", "a,b\rc,d\r", "a;b\nc;d", "a\tb\nc\td", "\"a\",\"b\"\n\"c\", \"d\" \n"] {
            check(text, &["1 a·b", "2 c·d"]);
        }
        check("", &[]);
        check("\n\n", &[]);
        check("a;\"x,y,z\"\n1;2", &["1 a·x,y,z", "2 1·2"]);
        check("a,b\n\n , \n1,2", &["1 a·b", "4 1·2"]);
    }

    #[test]
    fn a_first_line_may_name_the_delimiter() {
        check("sep=;\r\na,x;b\r\n1;2", &["1 a,x·b", "2 1·2"]);
        check("sep=\t\na\tb,c\n", &["1 a·b,c"]);
        check("sep=a,b\n1,2", &["1 sep=a·b", "2 1·2"]);
    }

    #[test]
    fn quotes_hold_line_ends_delimiters_and_quotes() {
        check("a,b\n\"1\n2\",\"say \"\"hi\"\", ok\"\n3,4", &["1 a·b", "2 1\n2·say \"hi\", ok", "3 3·4"]);
        check("a,b\n5\" pipe,x\"y", &["1 a·b", "2 5\" pipe·x\"y"]);
    }

    #[test]
    fn an_unclosed_quote_costs_one_line() {
        check("a,b\n1,\"open\n2,\"b\",\n3,4\n", &["1 a·b", "2 unbalanced_quotes in line 2", "3 2·b·", "4 3·4"]);
        check("a,b\n1,\"open\n2,b\n", &["1 a·b", "2 unbalanced_quotes in line 2", "3 2·b"]);
        check("a,b\n1,\"x\"y\n2,b\n", &["1 a·b", "2 unbalanced_quotes in line 2", "3 2·b"]);
        let swallowed = format!("a,b\n1,\"open\n{}", "2,b\n".repeat(60_000));
        let found = read(swallowed.as_bytes());
        assert_eq!(found.len(), 60_002);
        assert_eq!(found[1], "2 unbalanced_quotes in line 2");
    }

    #[test]
    fn a_row_beyond_the_limit_is_skipped() {
        let long = format!("a,b\r\n{},x\r\n1,2", "y".repeat(1_000_000));
        assert_eq!(read(long.as_bytes()), ["1 a·b", "2 row_too_long in line 2", "3 1·2"]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_found_with_their_line() {
        assert_eq!(read(b"a,b\n\"x\ny\",1\nM\xfcller,2\n"), ["1 a·b", "2 x\ny·1", "3 not_utf8 in line 4"]);
    }
}
