//! Passwords: argon2id, off the request threads, and few at once.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Longest password that is looked at.
pub const MAX_BYTES: usize = 1024;

/// Shortest password that is accepted for a user, in characters.
pub const MIN_CHARS: usize = 8;

/// Hashes at work at once. Each takes 19 MiB and a core for tens of milliseconds, and a flood of sign-ins must leave the others
/// room.
static AT_WORK: Semaphore = Semaphore::const_new(2);

/// The hash of a password that nobody has; a sign-in of an unknown user is compared with it and so takes as long as any other.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$hoLlZJyqxQJHRQqNKdBrPn6OyBV6bwNjKFfG6fK3ypw";

/// Hashes a password with a new salt and the parameters that OWASP asks for, which are this library's own.
///
/// # Errors
/// A password that is too short or too long.
pub async fn hash(password: String) -> Result<String> {
    if password.chars().count() < MIN_CHARS {
        return Err(Error::invalid("/password", "too_short", format!("needs at least {MIN_CHARS} characters")));
    }
    if password.len() > MAX_BYTES {
        return Err(Error::invalid("/password", "too_long", format!("takes at most {MAX_BYTES} bytes")));
    }
    work(move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()))
        .await?
        .map_err(Error::internal)
}

/// Whether a password is the one of a hash; without a hash it is not, after the same time.
pub(super) async fn matches(password: String, hash: Option<String>) -> Result<bool> {
    if password.len() > MAX_BYTES {
        return Ok(false);
    }
    let known = hash.is_some();
    let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
    let same = work(move || Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok()).await?;
    Ok(same && known)
}

async fn work<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let _turn = AT_WORK.acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(task).await.map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_matches_its_password_alone() {
        let hashed = hash("correct horse".into()).await.unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert!(matches("correct horse".into(), Some(hashed.clone())).await.unwrap());
        assert!(!matches("correct horsf".into(), Some(hashed)).await.unwrap());
        assert!(!matches("correct horse".into(), None).await.unwrap());
    }

    #[test]
    fn the_hash_of_nobody_costs_as_much_as_any_other() {
        let parsed = argon2::password_hash::phc::PasswordHash::new(NOBODY).unwrap();
        assert_eq!(parsed.params.to_string(), "m=19456,t=2,p=1");
        assert_eq!(parsed.hash.unwrap().len(), 32);
    }

    #[tokio::test]
    async fn passwords_have_limits() {
        assert_eq!(hash("1234567".into()).await.unwrap_err().status(), 422);
        assert_eq!(hash("x".repeat(MAX_BYTES + 1)).await.unwrap_err().status(), 422);
    }
}
