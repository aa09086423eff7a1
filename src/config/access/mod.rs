//! Settings of sign-in and tokens.

pub(super) mod audit;
pub(super) mod limits;
pub(super) mod mail;

use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::config::Environment;
use crate::config::range::{DAY, MINUTE, SECOND, duration};

/// A shorter key could be guessed (RFC 7518, 3.2).
const KEY_BYTES: usize = 32;

/// Signs tokens on a developer's machine; everyone knows it.
const DEVELOPMENT_KEY: &str = "only-for-development-and-publicly-known";

#[derive(Args, Clone, Debug)]
pub struct Access {
    /// Key that signs access tokens and cursors, at least 32 bytes. Required in production.
    #[arg(id = "jwt-secret", long = "jwt-secret", env = "JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: Option<SecretString>,
    /// Another key whose tokens and cursors are accepted while keys are rotated: the next one, later the previous one.
    #[arg(id = "jwt-secret-previous", long = "jwt-secret-previous", env = "JWT_SECRET_PREVIOUS", hide_env_values = true)]
    pub jwt_secret_previous: Option<SecretString>,
    /// Lifetime of an access token.
    #[arg(
        id = "jwt-expires-in",
        long = "jwt-expires-in",
        env = "JWT_EXPIRES_IN",
        default_value = "15m",
        value_parser = duration(SECOND..=30 * DAY)
    )]
    pub jwt_expires_in: Duration,
    /// Lifetime of a refresh token, and so of a session that is not refreshed.
    #[arg(
        id = "jwt-refresh-expires-in",
        long = "jwt-refresh-expires-in",
        env = "JWT_REFRESH_EXPIRES_IN",
        default_value = "7d",
        value_parser = duration(MINUTE..=30 * DAY)
    )]
    pub jwt_refresh_expires_in: Duration,
    /// Who can register: all (`open`), those who are invited (`invite`) or none (`off`); `open` in development, else `invite`.
    #[arg(long, env = "REGISTRATION")]
    pub registration: Option<Registration>,
    /// Log-ins in progress at once: two hash a password, and the others wait for them for a fraction of a second.
    #[arg(skip = 12_usize)]
    pub log_ins: usize,
}

/// Who can become a user without being made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Registration {
    Open,
    Invite,
    Off,
}

impl Access {
    /// The key that signs access tokens.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.jwt_secret.as_ref().map_or(DEVELOPMENT_KEY, |secret| secret.expose_secret()).as_bytes()
    }

    /// All keys whose tokens are accepted, the one that signs first.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let other = self.jwt_secret_previous.as_ref().map(|secret| secret.expose_secret().as_bytes());
        std::iter::once(self.key()).chain(other.filter(|key| !key.is_empty()))
    }

    /// What an operator should know of a key that production would refuse.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        match &self.jwt_secret {
            None => Some("JWT_SECRET is not set: tokens are signed with the public key of development"),
            Some(secret) if secret.expose_secret().is_empty() => Some("JWT_SECRET is empty: every client can sign tokens"),
            Some(secret) if secret.expose_secret().len() < KEY_BYTES => Some("JWT_SECRET is short and could be guessed"),
            Some(secret) if secret.expose_secret() == DEVELOPMENT_KEY => Some("JWT_SECRET is the public key of development"),
            Some(_) => None,
        }
    }

    pub(in crate::config) fn check(&self, environment: Environment) -> Result<(), String> {
        if environment != Environment::Production {
            return Ok(());
        }
        match &self.jwt_secret {
            None => {
                Err("JWT_SECRET is not set; production needs a key of at least 32 bytes, such as `openssl rand -hex 32` makes"
                    .into())
            }
            Some(secret) => check_secret("JWT_SECRET", secret),
        }?;
        let other = self.jwt_secret_previous.as_ref().filter(|secret| !secret.expose_secret().is_empty());
        other.map_or(Ok(()), |secret| check_secret("JWT_SECRET_PREVIOUS", secret))
    }
}

/// Refuses a key that could be guessed.
fn check_secret(name: &str, secret: &SecretString) -> Result<(), String> {
    let secret = secret.expose_secret();
    if secret.len() < KEY_BYTES {
        Err(format!("{name} has {} bytes; production needs at least {KEY_BYTES}", secret.len()))
    } else if secret == DEVELOPMENT_KEY {
        Err(format!("{name} is the public key of development"))
    } else {
        Ok(())
    }
}
