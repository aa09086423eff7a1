//! Passwords: argon2id, off the request threads.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use super::hashing;
use crate::error::{Error, Result};

pub const MAX_BYTES: usize = 1024;

pub const MIN_CHARS: usize = 8;

/// Compared with the password of an unknown user, so that the response takes as long as for a known one.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$hoLlZJyqxQJHRQqNKdBrPn6OyBV6bwNjKFfG6fK3ypw";

/// Hashes a password with a new salt and OWASP's parameters, which are the library's defaults. Refuses other lengths than
/// [`MIN_CHARS`] to [`MAX_BYTES`].
pub async fn hash(password: String) -> Result<String> {
    if password.chars().count() < MIN_CHARS {
        return Err(Error::invalid("/password", "too_short", format!("needs at least {MIN_CHARS} characters")));
    }
    if password.len() > MAX_BYTES {
        return Err(Error::invalid("/password", "too_long", format!("accepts at most {MAX_BYTES} bytes")));
    }
    hashing::run(move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()))
        .await?
        .map_err(Error::internal)
}

/// Whether the password matches the hash; false without a hash, after the same time.
pub(super) async fn matches(password: String, hash: Option<String>) -> Result<bool> {
    if password.len() > MAX_BYTES {
        return Ok(false);
    }
    let is_known = hash.is_some();
    let hash = hash.unwrap_or_else(|| DUMMY_HASH.to_owned());
    let same = hashing::run(move || Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok()).await?;
    Ok(same && is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_matches_only_its_password() {
        let hashed = hash("correct horse".into()).await.unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert!(matches("correct horse".into(), Some(hashed.clone())).await.unwrap());
        assert!(!matches("correct horsf".into(), Some(hashed)).await.unwrap());
        assert!(!matches("correct horse".into(), None).await.unwrap());
    }

    #[test]
    fn the_dummy_hash_costs_as_much_as_a_real_one() {
        let parsed = argon2::password_hash::phc::PasswordHash::new(DUMMY_HASH).unwrap();
        assert_eq!(parsed.params.to_string(), "m=19456,t=2,p=1");
        assert_eq!(parsed.hash.unwrap().len(), 32);
    }

    #[tokio::test]
    async fn passwords_have_limits() {
        assert_eq!(hash("1234567".into()).await.unwrap_err().status(), 422);
        assert_eq!(hash("x".repeat(MAX_BYTES + 1)).await.unwrap_err().status(), 422);
    }
}
