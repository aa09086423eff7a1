//! Names of files: a client's made safe, and the one in `Content-Disposition`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Most characters of a name: with four bytes each and an ending they fit into the 255 bytes of a file system.
const MOST: usize = 60;

/// What stands for a name of which nothing can be kept.
const UNNAMED: &str = "file";

/// Devices of Windows, whatever their ending.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Characters that an extended value has as they are (RFC 8187, 3.2.1).
const ENCODED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Keeps the last segment of a path, without what no name of a file has, and without what reverses or hides its letters.
#[must_use]
pub(super) fn cleaned(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_kept = |c: &char| !c.is_control() && !is_format(*c) && !"\"<>:|?*".contains(*c);
    let kept: String = last.chars().filter(is_kept).collect();
    let kept = kept.trim_start().trim_end_matches([' ', '.']);
    let (stem, ending) = kept.rsplit_once('.').unwrap_or((kept, ""));
    let stem = stem.trim_matches([' ', '.']);
    let ending: String = ending.chars().take(10).collect();
    let mut short: String = stem.chars().take(MOST - ending.chars().count()).collect();
    if short.is_empty() || DEVICES.contains(&short.to_lowercase().as_str()) {
        UNNAMED.clone_into(&mut short);
    }
    if ending.is_empty() { short } else { format!("{short}.{ending}") }
}

/// Marks of direction, joiners and other characters without a shape.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The value of `Content-Disposition` for a file to be saved (RFC 6266): a name in ASCII, and the whole one for clients that know
/// more.
#[must_use]
pub(super) fn disposition(name: &str) -> String {
    let name = cleaned(name);
    let plain: String = name.chars().map(|c| if c.is_ascii() && c != '%' && c != '\\' { c } else { '_' }).collect();
    if plain == name {
        return format!("attachment; filename=\"{plain}\"");
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(&name, &ENCODED))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_the_last_segment_without_tricks() {
        for (given, kept) in [
            ("people.xlsx", "people.xlsx"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\ann\\März 2026.csv", "März 2026.csv"),
            ("/", "file"),
            ("", "file"),
            ("..", "file"),
            (".csv", "file.csv"),
            ("CON.csv", "file.csv"),
            ("a\r\nSet-Cookie: x.csv", "aSet-Cookie x.csv"),
            ("a\0.csv", "a.csv"),
            ("invoice\u{202e}xslx.exe", "invoicexslx.exe"),
            ("say \"hi\".csv", "say hi.csv"),
        ] {
            assert_eq!(cleaned(given), kept, "{given:?}");
        }
        assert!(cleaned(&"ä".repeat(300)).len() <= 255);
    }

    #[test]
    fn a_disposition_names_the_file_twice_if_need_be() {
        assert_eq!(disposition("payments.csv"), "attachment; filename=\"payments.csv\"");
        assert_eq!(disposition("März 5%.csv"), "attachment; filename=\"M_rz 5_.csv\"; filename*=UTF-8''M%C3%A4rz%205%25.csv");
    }

    proptest! {
        #[test]
        fn no_name_breaks_out_of_the_header(name in any::<String>()) {
            let value = disposition(&name);
            prop_assert!(hyper::header::HeaderValue::from_str(&value).is_ok(), "{value:?}");
            prop_assert_eq!(value.matches('"').count(), 2);
            prop_assert!(!value.contains(['/', '\\', '\r', '\n']));
        }
    }
}
