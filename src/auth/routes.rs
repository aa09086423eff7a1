//! Sign-in, sign-out and the profile.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use tokio::sync::SemaphorePermit;

use super::Permission::Read;
use super::credentials::{self, Credentials};
use super::token::{self, TokenIdentity};
use super::{Caller, Permissions, Role, may, password, public, session};
use crate::api::{Reply, Request, json, no_content};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Routes;
use crate::operation::{NoContent, Nothing};
use crate::routes;
use crate::values::ids::UserId;

/// Bytes of a log-in: a user name or e-mail address, and a password of up to [`password::MAX_BYTES`] bytes, some of them escaped.
const LOGIN_BYTES: u64 = 4 * 1024;

/// One answer to all log-ins that fail, so that it tells nothing of users.
const WRONG_LOGIN: Error = Error::Unauthenticated("the user name or the password is wrong");

pub fn routes(app: &App) -> Routes {
    routes! { app, "auth";
        /// Signs in with a user name or an e-mail address.
        post ("login")   public up_to(LOGIN_BYTES) => login:   Login -> SignedIn;
        /// Ends the session of the token.
        post ("logout")  may(Read)                 => logout:  Nothing -> NoContent;
        /// Shows the caller's own user.
        get  ("profile") may(Read)                 => profile: Nothing -> Profile;
        /// Shows the caller's own user, as `/auth/profile`.
        get  ("me")      may(Read)                 => profile: Nothing -> Profile;
    }
}

/// Accepts the user name or e-mail address under any of three names.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("examples" = [{ "username": "agent", "password": "agent123" }]))]
struct Login {
    #[serde(alias = "email", alias = "login")]
    username: String,
    password: String,
}

/// The caller's own user.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    id: String,
    username: String,
    email: Option<String>,
    name: Option<String>,
    role: Role,
    permissions: Vec<&'static str>,
    created_at: String,
}

/// The token under every name that existing clients read.
#[derive(JsonSchema, Serialize)]
pub struct SignedIn {
    access_token: String,
    #[serde(rename = "accessToken")]
    camel: String,
    token: String,
    token_type: &'static str,
    expires_in: u64,
    user: Profile,
}

async fn login(mut request: Request) -> Result<Reply> {
    let given: Login = request.json().await?;
    let _place = log_in_place(&request)?;
    let found = credentials::by_login(&request.app.db.server, &given.username).await?;
    // The password is compared in the queue's own time, not in a slot that another request needs.
    let user = request.context.slot().leave_during(with_password(found, given.password)).await??;
    json(&sign_in(&request, user.ok_or(WRONG_LOGIN)?).await?)
}

/// A place in the short queue of those whose password is compared.
fn log_in_place(request: &Request) -> Result<SemaphorePermit<'_>> {
    request.app.log_ins.try_acquire().map_err(|_| Error::busy("too_many_log_ins", "too many log-ins are in progress"))
}

/// Returns the user if the password is the user's; takes as long for an unknown one.
async fn with_password(found: Option<Credentials>, password: String) -> Result<Option<Credentials>> {
    let hash = found.as_ref().map(|user| user.password_hash.clone());
    let is_right = password::matches(password, hash).await?;
    Ok(found.filter(|_| is_right))
}

/// Whether a password is that of a user who is signed in.
pub async fn has_password(request: &Request, user: UserId, password: String) -> Result<bool> {
    let _place = log_in_place(request)?;
    let found = credentials::by_id(&request.app.db.server, user).await?;
    Ok(request.context.slot().leave_during(with_password(found, password)).await??.is_some())
}

/// Starts a session of a user who has shown to be that user, and returns its tokens.
pub async fn sign_in(request: &Request, user: Credentials) -> Result<SignedIn> {
    let (app, now) = (&request.app, request.app.clock.now());
    let device = request.header("user-agent").map(|name| name.chars().take(200).collect::<String>());
    let started = session::start(&app.db.server, &user, request.context.peer(), device.as_deref(), now).await?;
    let session = started.ok_or(WRONG_LOGIN)?;
    request.context.identify(user.id);
    let identity = TokenIdentity { user: user.id, session };
    let profile = Profile::of(user)?;
    let lifetime = app.config.access.jwt_expires_in;
    let token = token::issue(app.config.access.key(), identity, profile.username.clone(), profile.role, now, lifetime)?;
    Ok(SignedIn {
        access_token: token.clone(),
        camel: token.clone(),
        token,
        token_type: "Bearer",
        expires_in: lifetime.as_secs(),
        user: profile,
    })
}

async fn logout(caller: Caller, request: Request) -> Result<Reply> {
    session::end(&request.app, caller.session).await?;
    Ok(no_content())
}

async fn profile(caller: Caller, request: Request) -> Result<Reply> {
    show_profile(&request.app.db.server, caller.id).await
}

/// Answers with a user's own view of the user.
pub async fn show_profile(db: impl PgExecutor<'_>, id: UserId) -> Result<Reply> {
    let user = credentials::by_id(db, id).await?.ok_or(Error::NotFound("user"))?;
    let version = user.version;
    Ok(json(&Profile::of(user)?)?.with_version(version))
}

impl Profile {
    fn of(user: Credentials) -> Result<Self> {
        let role: Role = user.role.parse().map_err(|error: &str| Error::internal(error))?;
        Ok(Self {
            id: user.id.to_string(),
            username: user.username,
            email: user.email,
            name: user.name,
            role,
            permissions: Permissions::named(&user.permissions).names(),
            created_at: moment(user.created_at),
        })
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
