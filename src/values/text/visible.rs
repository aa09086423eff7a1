//! Characters that show nothing.

/// Whether a character takes no ink: blanks, controls, characters without width, marks of direction, and fillers.
///
/// Unicode 16 calls those listed `Default_Ignorable_Code_Point`, but for the empty Braille pattern.
#[must_use]
pub fn is_invisible(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_no_ink_is_invisible() {
        for text in [
            "\u{0}\u{1b}\u{7f}\u{85}",
            "\u{200b}\u{200c}\u{200d}\u{feff}\u{2060}",
            "\u{202a}\u{202e}\u{2066}\u{2069}\u{200f}\u{61c}",
            " \u{a0}\u{3000}",
            "\u{3164}\u{2800}\u{fe0f}\u{e0001}",
        ] {
            assert!(text.chars().all(is_invisible), "{text:?}");
        }
        for text in ["Ann", "李", "अनिल", "-", "٠", "👩"] {
            assert!(!text.chars().any(is_invisible), "{text}");
        }
    }
}
