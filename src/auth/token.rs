//! Access tokens: JWTs of exactly one form, signed with HS256.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::Role;
use crate::error::{Error, Result};
use crate::values::ids::{SessionId, UserId};

/// Who issues tokens, and for whom.
const ISSUER: &str = "collections";
const AUDIENCE: &str = "collections-api";

/// `{"typ":"at+jwt","alg":"HS256"}`. Every token of ours begins so. Comparing the text leaves nothing of a header to interpret:
/// no other algorithm, key id, embedded key or extension (RFC 8725).
const HEADER: &str = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJIUzI1NiJ9.";

/// How far the clocks of two servers may be apart.
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

/// What a token proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) user: UserId,
    pub(super) session: SessionId,
}

/// Signs a token of a user. The names in it are for clients; the server asks the database who somebody is now.
pub(super) fn issue(
    key: &[u8],
    proof: Proof,
    username: String,
    role: Role,
    now: DateTime<Utc>,
    life: Duration,
) -> Result<String> {
    let (iat, life) = (now.timestamp(), i64::try_from(life.as_secs()).unwrap_or(i64::MAX));
    let claims = Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: proof.user,
        jti: proof.session,
        iat,
        nbf: iat,
        exp: iat.saturating_add(life),
        username,
        role,
    };
    let header = Header { typ: Some("at+jwt".into()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(key)).map_err(Error::internal)
}

/// Checks a token's form, signature, times and claims.
pub(super) fn check(key: &[u8], token: &str, now: DateTime<Utc>) -> Option<Proof> {
    if !token.starts_with(HEADER) || token.len() > 1024 {
        return None;
    }
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    // The library reads the system's clock; the times are compared below with the application's.
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(key), &validation).ok()?.claims;
    let now = now.timestamp();
    let current = claims.nbf <= now.saturating_add(LEEWAY_SECONDS) && now.saturating_sub(LEEWAY_SECONDS) < claims.exp;
    current.then_some(Proof { user: claims.sub, session: claims.jti })
}
