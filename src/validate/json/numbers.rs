//! The digits of numbers. The parser hands numbers out as binary ones, which keep 15 to 17 digits.

/// The numbers of a JSON text as they are written, in the order in which the parser meets them.
///
/// Knows no syntax: what it yields counts as far as the parser reads.
pub(super) struct Numbers<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Numbers<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            match self.0.first()? {
                b'"' => self.skip_text(),
                b'-' | b'0'..=b'9' => return self.take_number(),
                _ => self.0 = &self.0[1..],
            }
        }
    }
}

impl<'a> Numbers<'a> {
    fn take_number(&mut self) -> Option<&'a str> {
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let end = self.0.iter().position(|byte| !is_part(byte)).unwrap_or(self.0.len());
        let (number, rest) = self.0.split_at(end);
        self.0 = rest;
        std::str::from_utf8(number).ok()
    }

    fn skip_text(&mut self) {
        let mut at = 1;
        while let Some(byte) = self.0.get(at).filter(|byte| **byte != b'"') {
            at += if *byte == b'\\' { 2 } else { 1 };
        }
        self.0 = self.0.get(at + 1..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_outside_of_texts() {
        let text = br#"{"1":-1.50,"a\"2":[3e+5,"4\\",true,5],"6":null}"#;
        assert_eq!(Numbers(text).collect::<Vec<_>>(), ["-1.50", "3e+5", "5"]);
        assert_eq!(Numbers(br#"7 "8"#).collect::<Vec<_>>(), ["7"]);
    }
}
