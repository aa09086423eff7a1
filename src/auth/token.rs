//! Access tokens: JWTs of one fixed form, signed with HS256.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::{Deserialize, Serialize};

use super::Role;
use crate::error::{Error, Result};
use crate::values::ids::{SessionId, UserId};

const ISSUER: &str = "collections";
const AUDIENCE: &str = "collections-api";

/// `{"typ":"at+jwt","alg":"HS256"}`, with which every token begins. Comparing text leaves no header to interpret: no other
/// algorithm, key id, embedded key or extension (RFC 8725).
const HEADER: &str = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJIUzI1NiJ9.";

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenIdentity {
    pub(super) user: UserId,
    pub(super) session: SessionId,
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
    let header = Header { typ: Some("at+jwt".into()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(key)).map_err(Error::internal)
}

/// Checks a token's form, signature, times and claims.
pub(super) fn check(key: &[u8], token: &str, now: DateTime<Utc>) -> Option<TokenIdentity> {
    let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= 1024)?;
    let claims = signed.strip_prefix(HEADER)?;
    let key = DecodingKey::from_secret(key);
    if !jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, Algorithm::HS256).ok()? {
        return None;
    }
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let now = now.timestamp();
    let is_ours = claims.iss == ISSUER && claims.aud == AUDIENCE;
    let is_current = claims.nbf <= now.saturating_add(LEEWAY_SECONDS) && now.saturating_sub(LEEWAY_SECONDS) < claims.exp;
    (is_ours && is_current).then_some(TokenIdentity { user: claims.sub, session: claims.jti })
}
