//! Access tokens: JWTs of one fixed form, signed with HS256.
//!
//! The header of a token names the key that signed it (`kid`), so that two keys can be in use while one replaces the other.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Role;
use crate::error::{Error, Result};
use crate::values::ids::{SessionId, UserId};

const ISSUER: &str = "collections";
const AUDIENCE: &str = "collections-api";

/// Tolerated clock difference between two servers.
const LEEWAY_SECONDS: i64 = 30;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    jti: SessionId,
    iat: i64,
    nbf: i64,
    exp: i64,
    username: String,
    role: Role,
}

/// Whose token it is, and which session ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenIdentity {
    pub(super) user: UserId,
    pub(super) session: SessionId,
}

/// The header with which every token of a key begins: `{"typ":"at+jwt","alg":"HS256","kid":"5c1f2a90"}`, where `kid` is the beginning
/// of the key's SHA-256. Comparing text leaves no header to interpret: no other algorithm, embedded key or extension (RFC 8725).
fn header(key: &[u8]) -> String {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(key));
    URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{a:02x}{b:02x}{c:02x}{d:02x}"}}"#))
}

/// Signs a token. User name and role in it are for clients; the server reads the current ones from the database.
pub(super) fn issue(
    key: &[u8],
    identity: TokenIdentity,
    username: String,
    role: Role,
    now: DateTime<Utc>,
    lifetime: Duration,
) -> Result<String> {
    let (iat, lifetime) = (now.timestamp(), i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
    let claims = Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: identity.user,
        jti: identity.session,
        iat,
        nbf: iat,
        exp: iat.saturating_add(lifetime),
        username,
        role,
    };
    let claims = serde_json::to_vec(&claims).map_err(Error::internal)?;
    let signed = format!("{}.{}", header(key), URL_SAFE_NO_PAD.encode(claims));
    let signature = crypto::sign(signed.as_bytes(), &EncodingKey::from_secret(key), Algorithm::HS256).map_err(Error::internal)?;
    Ok(format!("{signed}.{signature}"))
}

/// Checks a token's form, signature, times and claims. Any of the keys may have signed it. Returns whose it is, and until when.
pub(super) fn check<'a>(
    mut keys: impl Iterator<Item = &'a [u8]>,
    token: &str,
    now: DateTime<Utc>,
) -> Option<(TokenIdentity, DateTime<Utc>)> {
    let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= 1024)?;
    let (head, claims) = signed.split_once('.')?;
    let key = DecodingKey::from_secret(keys.find(|key| header(key) == head)?);
    if !crypto::verify(signature, signed.as_bytes(), &key, Algorithm::HS256).ok()? {
        return None;
    }
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let now = now.timestamp();
    let is_ours = claims.iss == ISSUER && claims.aud == AUDIENCE;
    let is_current = claims.nbf <= now.saturating_add(LEEWAY_SECONDS) && now.saturating_sub(LEEWAY_SECONDS) < claims.exp;
    let until = DateTime::from_timestamp(claims.exp.saturating_add(LEEWAY_SECONDS), 0)?;
    (is_ours && is_current).then_some((TokenIdentity { user: claims.sub, session: claims.jti }, until))
}
