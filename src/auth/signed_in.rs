//! What a client gets when its user has signed in.

use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::credentials::Credentials;
use super::session::Grant;
use super::{Permissions, Role, token};
use crate::app::App;
use crate::error::{Error, Result};
use crate::values::clock::milliseconds;

/// Tokens, under every name that existing clients read, and their user.
#[derive(JsonSchema, Serialize)]
pub struct SignedIn {
    access_token: String,
    #[serde(rename = "accessToken")]
    camel_access_token: String,
    token: String,
    refresh_token: String,
    #[serde(rename = "refreshToken")]
    camel_refresh_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    user: Profile,
}

impl SignedIn {
    /// Signs an access token, which lasts no longer than the session.
    pub(super) fn new(app: &App, user: Credentials, grant: &Grant, now: DateTime<Utc>) -> Result<Self> {
        let access = &app.config.access;
        let profile = Profile::of(user)?;
        let rest = (grant.expires_at - now).to_std().unwrap_or(Duration::ZERO);
        let lifetime = access.jwt_expires_in.min(rest);
        let token = token::issue(access.key(), grant.identity, profile.username.clone(), profile.role, now, lifetime)?;
        let refresh_token = grant.refresh_token.encode();
        Ok(Self {
            access_token: token.clone(),
            camel_access_token: token.clone(),
            token,
            refresh_token: refresh_token.clone(),
            camel_refresh_token: refresh_token,
            token_type: "Bearer",
            expires_in: lifetime.as_secs(),
            user: profile,
        })
    }
}

/// The caller's own user.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    id: Uuid,
    username: String,
    email: Option<String>,
    name: Option<String>,
    role: Role,
    permissions: Vec<&'static str>,
    #[serde(serialize_with = "milliseconds")]
    created_at: DateTime<Utc>,
}

impl Profile {
    pub(super) fn of(user: Credentials) -> Result<Self> {
        let role: Role = user.role.parse().map_err(|error: &str| Error::internal(error))?;
        Ok(Self {
            id: user.id.0,
            username: user.username,
            email: user.email,
            name: user.name,
            role,
            permissions: Permissions::named(&user.permissions).names(),
            created_at: user.created_at,
        })
    }
}
