//! Text as RFC 4180 has it, with guards against what spreadsheets would calculate.

use super::cell::{Cell, moment};
use crate::values::text::table::guarded;
use crate::values::zone::Zone;

/// Tells a spreadsheet that the text is UTF-8.
pub(super) const BOM: &str = "\u{feff}";

/// Who reads a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::exports) enum Reader {
    /// Would calculate texts that begin like formulas, and has to be told that the text is UTF-8.
    #[default]
    Spreadsheet,
    /// Takes every text as it is.
    Program,
}

/// Writes a row.
pub(super) fn row<'a>(cells: impl ExactSizeIterator<Item = Cell<'a>>, reader: Reader, zone: Option<Zone>, into: &mut String) {
    let is_alone = cells.len() == 1;
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            into.push(',');
        }
        match cell {
            // An empty line is no row.
            Cell::Blank if is_alone => into.push_str("\"\""),
            Cell::Blank => {}
            Cell::Text(text) if reader == Reader::Spreadsheet => quote(&guarded(&text), into),
            Cell::Text(text) => quote(&text, into),
            Cell::Number(number) => into.push_str(number),
            Cell::Flag(flag) => into.push_str(if flag { "true" } else { "false" }),
            Cell::Day(day) => into.push_str(&day),
            Cell::Moment(at) => into.push_str(&moment(at, zone)),
        }
    }
    into.push_str("\r\n");
}

fn quote(text: &str, into: &mut String) {
    if !text.is_empty() && !text.contains(['"', ',', '\r', '\n']) {
        return into.push_str(text);
    }
    into.push('"');
    into.push_str(&text.replace('"', "\"\""));
    into.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::values::text::table::FORMULAS;

    fn written(texts: &[&str], reader: Reader) -> String {
        let mut row = String::new();
        super::row(texts.iter().map(|text| Cell::Text((*text).into())), reader, None, &mut row);
        row
    }

    #[test]
    fn formulas_are_guarded_and_numbers_and_phones_are_not() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1-1", "'+1-1"),
            ("+1 415 555 2671", "'+1 415 555 2671"),
            ("+14155552671", "+14155552671"),
            ("-12.50", "-12.50"),
            ("+7", "+7"),
            ("-", "'-"),
            ("+", "'+"),
            ("-.5", "'-.5"),
            ("-5.", "'-5."),
            ("-1.2.3", "'-1.2.3"),
            ("+４９", "'+４９"),
            ("-1e5", "'-1e5"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("=A1,\"x\"", "\"'=A1,\"\"x\"\"\""),
            ("a=1", "a=1"),
            (" =1", " =1"),
            ("'=1", "''=1"),
            ("", "\"\""),
        ] {
            assert_eq!(written(&[text, "z"], Reader::Spreadsheet), format!("{expected},z\r\n"), "{text:?}");
        }
        assert_eq!(written(&["=1+1", "@x"], Reader::Program), "=1+1,@x\r\n");
    }

    #[test]
    fn a_row_with_one_blank_is_no_empty_line() {
        let mut row = String::new();
        super::row([Cell::Blank].into_iter(), Reader::Program, None, &mut row);
        assert_eq!(row, "\"\"\r\n");
    }

    /// Splits a row as RFC 4180 says.
    fn parsed(row: &str) -> Vec<String> {
        let (mut cells, mut cell, mut is_quoted) = (Vec::new(), String::new(), false);
        let mut letters = row.strip_suffix("\r\n").unwrap().chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '"' if is_quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => cells.push(std::mem::take(&mut cell)),
                other => cell.push(other),
            }
        }
        assert!(!is_quoted);
        cells.push(cell);
        cells
    }

    proptest! {
        #[test]
        fn texts_come_back_as_they_were(texts in proptest::collection::vec("[-=+@\t\r\n\", ;'0-9a-zé\\PC]{0,12}", 1..6)) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            prop_assert_eq!(parsed(&written(&texts, Reader::Program)), texts.clone());
            let guarded = parsed(&written(&texts, Reader::Spreadsheet));
            for (text, guarded) in texts.into_iter().zip(&guarded) {
                prop_assert!(guarded == text || guarded.strip_prefix('\'') == Some(text));
                prop_assert!(!guarded.starts_with(FORMULAS) || guarded.parse::<f64>().is_ok(), "{}", guarded);
            }
        }
    }
}
