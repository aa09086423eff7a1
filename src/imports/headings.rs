//! When two headings are the same, and which are the program's own.

/// A heading in lower case, with letters and digits only.
pub(super) fn plain(heading: &str) -> String {
    heading.chars().filter(|sign| sign.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether a heading is that of a column that the program adds, such as `_errors`. Imports leave it out.
pub(super) fn is_own(heading: &str) -> bool {
    heading.trim().starts_with('_')
}
