//! Sign-in, sign-out and the profile.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Permission::{self, Read};
use super::credentials::{self, Credentials};
use super::token::{self, TokenIdentity};
use super::{Caller, Role, may, password, public, session};
use crate::api::{Reply, Request, json, no_content};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Routes;
use crate::operation::{NoContent, Nothing};
use crate::routes;

/// Bytes of a log-in: a user name or e-mail address, and a password of up to [`password::MAX_BYTES`] bytes, some of them escaped.
const LOGIN_BYTES: u64 = 4 * 1024;

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
struct Profile {
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
struct SignedIn {
    access_token: String,
    #[serde(rename = "accessToken")]
    camel: String,
    token: String,
    token_type: &'static str,
    expires_in: u64,
    user: Profile,
}

async fn login(mut request: Request) -> Result<Reply> {
    const REFUSED: Error = Error::Unauthenticated("the user name or the password is wrong");
    let given: Login = request.json().await?;
    let app = &request.app;
    let busy = |_| Error::busy("too_many_log_ins", "too many log-ins are in progress");
    let _place = app.log_ins.try_acquire().map_err(busy)?;
    let found = credentials::by_login(&app.db.server, &given.username).await?;
    let hash = found.as_ref().map(|user| user.password_hash.clone());
    // The password is compared in the queue's own time, not in a slot that another request needs.
    let is_right = request.context.slot().leave_during(password::matches(given.password, hash)).await??;
    let user = found.filter(|_| is_right).ok_or(REFUSED)?;
    let device = request.header("user-agent").map(|name| name.chars().take(200).collect::<String>());
    let now = app.clock.now();
    let started = session::start(&app.db.server, &user, request.context.peer(), device.as_deref(), now).await?;
    let session = started.ok_or(REFUSED)?;
    request.context.identify(user.id);
    let identity = TokenIdentity { user: user.id, session };
    let profile = Profile::of(user)?;
    let lifetime = app.config.access.jwt_expires_in;
    let token = token::issue(app.config.access.key(), identity, profile.username.clone(), profile.role, now, lifetime)?;
    json(&SignedIn {
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
    let user = credentials::by_id(&request.app.db.server, caller.id).await?.ok_or(Error::NotFound("user"))?;
    json(&Profile::of(user)?)
}

impl Profile {
    fn of(user: Credentials) -> Result<Self> {
        let role: Role = user.role.parse().map_err(|error: &str| Error::internal(error))?;
        let permissions = Permission::ALL.into_iter().filter(|permission| role >= permission.role()).map(Permission::name);
        Ok(Self {
            id: user.id.to_string(),
            username: user.username,
            email: user.email,
            name: user.name,
            role,
            permissions: permissions.collect(),
            created_at: moment(user.created_at),
        })
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
