//! What a new password may be (OWASP ASVS 5.0, 6.2): long enough, and not what an attacker tries first.

use super::password::{MAX_BYTES, MIN_CHARS};
use crate::error::Violations;

/// The 3,000 most common passwords of at least eight characters, in lower case and alphabetical order.
///
/// From the frequency list of the Python package zxcvbn 4.5.0 (MIT licence), which Mark Burnett's ten million passwords, released
/// to the public domain, are the source of.
const COMMON: &str = include_str!("common_passwords.txt");

/// Checks a new password of a user with these names: the user name, the e-mail address.
pub fn check<'a>(pointer: &str, password: &str, names: impl IntoIterator<Item = &'a str>, violations: &mut Violations) {
    let lower = password.to_lowercase();
    if password.chars().count() < MIN_CHARS {
        violations.add(pointer, "too_short", format!("needs at least {MIN_CHARS} characters"));
    } else if password.len() > MAX_BYTES {
        violations.add(pointer, "too_long", format!("takes at most {MAX_BYTES} bytes"));
    } else if COMMON.lines().any(|common| common == lower) {
        violations.add(pointer, "too_common", "is one of the passwords that are tried first");
    } else if names.into_iter().any(|name| is_name(&lower, &name.to_lowercase())) {
        violations.add(pointer, "is_a_name", "must not be the user name or the e-mail address");
    }
}

/// Whether a password is a name, an e-mail address, or that address before its `@`.
fn is_name(password: &str, name: &str) -> bool {
    password == name || name.split_once('@').is_some_and(|(local, _)| password == local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(password: &str) -> Vec<String> {
        let mut violations = Violations::default();
        check("/password", password, ["maria.lopez", "m.lopez.1@example.org"], &mut violations);
        violations.iter().map(|violation| violation.code.to_string()).collect()
    }

    #[test]
    fn passwords_that_are_tried_first_are_refused() {
        for (password, expected) in [
            ("seven77", Some("too_short")),
            ("password1", Some("too_common")),
            ("PASSWORD1", Some("too_common")),
            ("iloveyou", Some("too_common")),
            ("Maria.Lopez", Some("is_a_name")),
            ("m.lopez.1", Some("is_a_name")),
            ("M.Lopez.1@example.org", Some("is_a_name")),
            ("maria.lopez and her dog", None),
            ("äöüäöüäö", None),
        ] {
            assert_eq!(codes(password), expected.into_iter().collect::<Vec<_>>(), "{password}");
        }
        assert_eq!(codes(&"x".repeat(MAX_BYTES + 1)), ["too_long"]);
        assert!(codes(&"long ".repeat(30)).is_empty(), "far more than 64 characters are taken");
    }

    #[test]
    fn the_list_is_as_it_is_described() {
        let passwords: Vec<&str> = COMMON.lines().collect();
        assert_eq!(passwords.len(), 3_000);
        assert!(passwords.is_sorted());
        assert!(passwords.iter().all(|password| password.len() >= MIN_CHARS && *password == password.to_lowercase()));
    }
}
