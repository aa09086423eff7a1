//! Passwords: argon2id, off the request threads. Users who were imported have bcrypt hashes until they log in.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};

use crate::error::{Error, Result};
use crate::threads::PASSWORDS;

pub const MAX_BYTES: usize = 1024;

pub const MIN_CHARS: usize = 8;

/// Compared with the password of an unknown user, so that the response takes as long as for a known one.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$hoLlZJyqxQJHRQqNKdBrPn6OyBV6bwNjKFfG6fK3ypw";

/// Highest cost of a bcrypt hash: a second of work. Each step more doubles it.
const BCRYPT_COST_MAX: u32 = 14;

/// Most memory of an argon2id hash in KiB, of which two are computed at once, and most KiB written in all passes: a second of work.
const ARGON2_MEMORY_MAX: u32 = 256 * 1024;
const ARGON2_EFFORT_MAX: u64 = 1024 * 1024;

/// Hashes a password with a new salt and OWASP's parameters, which are the library's defaults. Refuses other lengths than
/// [`MIN_CHARS`] to [`MAX_BYTES`].
pub async fn hash(password: String) -> Result<String> {
    if password.chars().count() < MIN_CHARS {
        return Err(Error::invalid("/password", "too_short", format!("needs at least {MIN_CHARS} characters")));
    }
    if password.len() > MAX_BYTES {
        return Err(Error::invalid("/password", "too_long", format!("accepts at most {MAX_BYTES} bytes")));
    }
    hash_again(password).await
}

/// Hashes a password that has been accepted before, whatever its length was allowed to be then.
pub(super) async fn hash_again(password: String) -> Result<String> {
    PASSWORDS
        .run(move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()))
        .await?
        .map_err(Error::internal)
}

/// Whether the password matches the hash; false without a hash, after the same time as for a hash of today.
///
/// A bcrypt hash takes a time by its cost, mostly longer. So a user who has one can be told from an unknown one, until the first
/// log-in.
pub(super) async fn matches(password: String, hash: Option<String>) -> Result<bool> {
    if password.len() > MAX_BYTES {
        return Ok(false);
    }
    let usable = hash.filter(|hash| is_affordable(hash));
    let is_known = usable.is_some();
    let hash = usable.unwrap_or_else(|| DUMMY_HASH.to_owned());
    let same = PASSWORDS
        .run(move || match bcrypt_cost(&hash) {
            Some(_) => bcrypt::verify(&password, &hash).unwrap_or(false),
            None => Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok(),
        })
        .await?;
    Ok(same && is_known)
}

/// Whether a hash is of another kind than those of today, or takes less memory or work.
pub(super) fn is_outdated(hash: &str) -> bool {
    let is_weak = |params: Params| params.m_cost() < Params::DEFAULT.m_cost() || effort(&params) < effort(&Params::DEFAULT);
    argon2id_params(hash).is_none_or(is_weak)
}

/// Whether the hash of a password can be compared, and within the limits of cost. One that an operator imported may not.
fn is_affordable(hash: &str) -> bool {
    let is_affordable = match (bcrypt_cost(hash), argon2id_params(hash)) {
        (Some(cost), _) => cost <= BCRYPT_COST_MAX,
        (_, Some(params)) => params.m_cost() <= ARGON2_MEMORY_MAX && effort(&params) <= ARGON2_EFFORT_MAX,
        (None, None) => false,
    };
    if !is_affordable {
        tracing::error!("a user cannot log in: the password's hash is neither argon2id nor bcrypt, or its cost is too high");
    }
    is_affordable
}

fn bcrypt_cost(hash: &str) -> Option<u32> {
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| hash.strip_prefix(prefix))?;
    rest.split_once('$')?.0.parse().ok()
}

fn argon2id_params(hash: &str) -> Option<Params> {
    let hash = PasswordHash::new(hash).ok().filter(|hash| hash.algorithm.as_str() == "argon2id")?;
    Params::try_from(&hash).ok()
}

/// KiB that are written to compute a hash.
fn effort(params: &Params) -> u64 {
    u64::from(params.m_cost()) * u64::from(params.t_cost())
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
    async fn a_bcrypt_hash_of_any_known_form_matches_its_password() {
        // The test vector of OpenBSD's successors: $2a$, $2b$ and $2y$ differ in how they came about only.
        let rest = "05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        for form in ["$2a$", "$2b$", "$2y$"] {
            let hash = format!("{form}{rest}");
            assert!(matches("U*U".into(), Some(hash.clone())).await.unwrap(), "{form}");
            assert!(!matches("U*V".into(), Some(hash.clone())).await.unwrap(), "{form}");
            assert!(is_outdated(&hash), "{form}");
        }
        assert!(!matches("U*U".into(), Some(format!("$2x${rest}"))).await.unwrap());
    }

    #[test]
    fn costs_are_limited_before_the_work() {
        let argon2id =
            |params: &str| format!("$argon2id$v=19${params}$c29tZXNhbHRzb21lc2FsdA$hoLlZJyqxQJHRQqNKdBrPn6OyBV6bwNjKFfG6fK3ypw");
        let bcrypt = |cost: &str| format!("$2b${cost}$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
        for (hash, affordable, outdated) in [
            (DUMMY_HASH.to_owned(), true, false),
            (argon2id("m=47104,t=1,p=1"), true, false),
            (argon2id("m=65536,t=3,p=4"), true, false),
            (argon2id("m=4096,t=3,p=1"), true, true),
            (argon2id("m=19456,t=1,p=1"), true, true),
            (argon2id("m=1048576,t=1,p=1"), false, false),
            (argon2id("m=65536,t=1000,p=1"), false, false),
            (DUMMY_HASH.replace("argon2id", "argon2i"), false, true),
            (bcrypt("12"), true, true),
            (bcrypt("14"), true, true),
            (bcrypt("15"), false, true),
            (bcrypt("31"), false, true),
            ("$6$salt$hash".into(), false, true),
            (String::new(), false, true),
        ] {
            assert_eq!((is_affordable(&hash), is_outdated(&hash)), (affordable, outdated), "{hash}");
        }
    }

    #[tokio::test]
    async fn passwords_have_limits() {
        assert_eq!(hash("1234567".into()).await.unwrap_err().status(), 422);
        assert_eq!(hash("x".repeat(MAX_BYTES + 1)).await.unwrap_err().status(), 422);
    }
}
