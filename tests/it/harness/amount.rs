//! How much a test does, which a variable can raise.

use std::str::FromStr;

/// Returns the number in an environment variable, if it is set.
pub(crate) fn amount<T: FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}
