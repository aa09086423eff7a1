//! Log-in, refresh, log-out, sessions and the profile.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json as value;
use sqlx::PgExecutor;
use tokio::sync::SemaphorePermit;

use super::Permission::Read;
use super::credentials::{self, Credentials};
use super::lockout::{self, Attempt};
use super::session::refresh_token::RefreshToken;
use super::session::rotation::{self, Rotation};
use super::session::{Origin, Session};
use super::signed_in::{Profile, SignedIn};
use super::sockets::tickets::{self, Ticket};
use super::token::TokenIdentity;
use super::{Caller, access, api_keys, limited, may, password, session};
use crate::api::paging::{self, Rows};
use crate::api::{Reply, Request, json, no_content};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Routes;
use crate::operation::{Effect, NoContent, Nothing, Operation, Takes};
use crate::routes;
use crate::turns::Turn;
use crate::values::ids::{SessionId, UserId};
use crate::values::network::Network;

/// Bytes of a log-in: a user name or e-mail address, and a password of up to [`password::MAX_BYTES`] bytes, some of them escaped.
const LOGIN_BYTES: u64 = 4 * 1024;

/// How long a log-in waits for others from its address.
const PATIENCE: Duration = Duration::from_secs(2);

/// Characters that are kept of how a client calls itself.
const DEVICE_CHARS: usize = 200;

/// One answer to all log-ins that fail, so that it tells nothing of users.
const WRONG_LOGIN: Error = Error::Unauthenticated("the user name or the password is wrong");

pub fn routes(app: &App) -> Routes {
    Routes::join(vec![own_routes(app), api_keys::routes(app)])
}

fn own_routes(app: &App) -> Routes {
    routes! { app, "auth";
        /// Signs in with a user name or an e-mail address.
        post   ("login")                limited up_to(LOGIN_BYTES) => login:       Login -> SignedIn;
        /// Exchanges a refresh token, which is used once, for new tokens.
        post   ("refresh")              limited up_to(LOGIN_BYTES) => refresh:     Refresh -> SignedIn;
        /// Exchanges a refresh token, as `/auth/refresh`.
        post   ("refresh-token")        limited up_to(LOGIN_BYTES) => refresh:     Refresh -> SignedIn;
        /// Ends the session of the access token. With an expired one, a body as that of `/auth/refresh` names the session.
        post   ("logout")               limited up_to(LOGIN_BYTES) => logout:      Leaving -> NoContent;
        /// Makes a ticket, with which a web page opens a socket: once, within 30 seconds.
        post   ("ticket")               may(Read)                 => ticket:      Adding -> Ticket;
        /// Lists the caller's sessions.
        get    ("sessions")             may(Read)                 => sessions:    Listing -> Rows<Session>;
        /// Ends one of the caller's sessions.
        delete ("sessions" / SessionId) may(Read)                 => end_session: Nothing -> NoContent;
        /// Shows the caller's own user.
        get    ("profile")              may(Read)                 => profile:     Nothing -> Profile;
        /// Shows the caller's own user, as `/auth/profile`.
        get    ("me")                   may(Read)                 => profile:     Nothing -> Profile;
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

#[derive(Deserialize, JsonSchema)]
struct Refresh {
    #[serde(alias = "refreshToken", alias = "token")]
    refresh_token: String,
}

/// The parameter of a log-out.
struct Leaving;

impl Takes for Leaving {
    fn describe(operation: &mut Operation<'_>) {
        operation.query("all", "Whether to end all sessions of the user.", value!({ "type": "boolean", "default": false }));
    }
}

/// Adds something without a body.
struct Adding;

impl Takes for Adding {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Adds;
    }
}

/// The parameters of the list of sessions.
struct Listing;

impl Takes for Listing {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
    }
}

async fn login(mut request: Request) -> Result<Reply> {
    let given: Login = request.json().await?;
    let place = log_in_place(&request).await?;
    let found = credentials::by_login(&request.app.db.server, &given.username).await?;
    let user = compare(&request, place, &given.username, found, given.password).await?;
    json(&sign_in(&request, user.ok_or(WRONG_LOGIN)?).await?)
}

/// A place among the few whose password is compared.
type Place<'a> = (Turn<Network>, SemaphorePermit<'a>);

/// Takes a place. Refused if there are too many, in all or from one address.
async fn log_in_place(request: &Request) -> Result<Place<'_>> {
    let app = &request.app;
    let turn = app.log_ins_of_address.take(Network::of_client(request.context.client()), 1, PATIENCE);
    let turn = request.context.slot().leave_during(turn).await?;
    match turn.and_then(|turn| Some((turn, app.log_ins.try_acquire().ok()?))) {
        Some(place) => Ok(place),
        None => Err(request.context.refuse(Error::busy("too_many_log_ins", "too many log-ins are in progress")).await),
    }
}

/// Compares a password with that of a user, if one was found by this name, and counts it if it is wrong. Refused if the account or
/// the address is locked.
async fn compare(
    request: &Request,
    place: Place<'_>,
    login: &str,
    found: Option<Credentials>,
    password: String,
) -> Result<Option<Credentials>> {
    let (app, user) = (&request.app, found.as_ref().map(|user| user.id));
    let attempt = match Attempt::begin(app, request.context.client(), login, user).await {
        Ok(attempt) => attempt,
        Err(refusal) => {
            drop(place);
            return Err(request.context.refuse(refusal).await);
        }
    };
    // In the queue's own time, not in a slot that another request needs.
    let right = request.context.slot().leave_during(with_password(app, found, password)).await??;
    match right {
        Some(_) => attempt.succeed().await?,
        None => attempt.fail().await?,
    }
    Ok(right)
}

/// Returns the user if the password is the user's; takes as long for an unknown one. A weak hash is replaced by a strong one.
async fn with_password(app: &App, found: Option<Credentials>, password: String) -> Result<Option<Credentials>> {
    let hash = found.as_ref().map(|user| user.password_hash.clone());
    let is_right = password::matches(password.clone(), hash).await?;
    let Some(mut user) = found.filter(|_| is_right) else { return Ok(None) };
    if password::is_outdated(&user.password_hash) {
        let hash = password::hash_again(password).await?;
        if credentials::strengthen(&app.db.server, &user, &hash).await? {
            user.password_hash = hash;
        }
    }
    Ok(Some(user))
}

/// Whether a password is that of a user who is signed in.
pub async fn has_password(request: &Request, user: UserId, password: String) -> Result<bool> {
    let place = log_in_place(request).await?;
    let found = credentials::by_id(&request.app.db.server, user).await?;
    Ok(compare(request, place, "", found, password).await?.is_some())
}

/// Starts a session of a user who has shown to be that user, and returns its tokens.
pub async fn sign_in(request: &Request, user: Credentials) -> Result<SignedIn> {
    let (app, now) = (&request.app, request.app.clock.now());
    let device = request.header("user-agent").map(|name| name.chars().take(DEVICE_CHARS).collect());
    let origin = Origin { address: request.context.client(), device };
    let grant = session::start(app, &user, &origin, now).await?.ok_or(WRONG_LOGIN)?;
    request.context.identify(user.id);
    SignedIn::new(app, user, &grant, now)
}

async fn refresh(mut request: Request) -> Result<Reply> {
    const REFUSED: Error = Error::Unauthenticated("this refresh token is not valid, or not any more; log in again");
    let given: Refresh = request.json().await?;
    let (app, client) = (&request.app, request.context.client());
    lockout::check_address(app, client).await?;
    let rotation = match RefreshToken::read(&given.refresh_token) {
        Some(token) => rotation::rotate(app, token, client).await?,
        None => Rotation::Refused,
    };
    let grant = match rotation {
        Rotation::Rotated(grant) => grant,
        Rotation::Refused => {
            lockout::count_failure(app, client).await?;
            return Err(REFUSED);
        }
        Rotation::Reused(identity) => {
            request.context.identify(identity.user);
            let TokenIdentity { user, session } = identity;
            tracing::warn!(user_id = %user, session_id = %session, "a used refresh token was presented; its session has ended");
            return Err(REFUSED);
        }
    };
    request.context.identify(grant.identity.user);
    let user = credentials::by_id(&app.db.server, grant.identity.user).await?.ok_or(REFUSED)?;
    json(&SignedIn::new(app, user, &grant, app.clock.now())?)
}

/// Ends the session of the access token, or with `all` every session of its user. A client whose access token has expired names the
/// session by the refresh token in the body.
async fn logout(mut request: Request) -> Result<Reply> {
    const NO_SESSION: Error = Error::Unauthenticated("an API key has no session that could end");
    let ends_all = request.flag("all")?;
    let authenticated = access::authenticate(&request.app, &request.headers).await;
    let identity = match authenticated {
        Ok(caller) => Some(caller.identity().map_err(|_| NO_SESSION)?),
        Err(error @ Error::Unauthenticated(_)) => match request.json::<Refresh>().await {
            Ok(given) => session_of(&request.app, &given.refresh_token).await?,
            Err(_) => return Err(error),
        },
        Err(error) => return Err(error),
    };
    // A refresh token without a session is fine: there is nothing left to end (RFC 7009, 2.2).
    let Some(identity) = identity else { return Ok(no_content()) };
    request.context.identify(identity.user);
    let (app, now) = (&request.app, request.app.clock.now());
    if ends_all {
        session::end_all(&app.db.server, identity.user, now).await?;
    } else {
        session::end(&app.db.server, identity, now).await?;
    }
    session::forget(app, identity.session);
    Ok(no_content())
}

/// The session of a refresh token, used or not; none if either has ended.
async fn session_of(app: &App, refresh_token: &str) -> Result<Option<TokenIdentity>> {
    match RefreshToken::read(refresh_token) {
        Some(token) => rotation::find(&app.db.server, token, app.clock.now()).await,
        None => Ok(None),
    }
}

async fn ticket(caller: Caller, request: Request) -> Result<Reply> {
    json(&tickets::issue(&request.app, &caller).await?)
}

/// The caller's sessions that have not ended.
async fn sessions(caller: Caller, request: Request) -> Result<Reply> {
    let part = paging::part(&request, &[])?;
    let (db, now) = (&request.app.db.read, request.app.clock.now());
    let sessions = session::list(db, caller.identity()?, part.after, part.to_read(), now).await?;
    part.answer(&request, sessions, |session| session.id)
}

async fn end_session(id: SessionId, caller: Caller, request: Request) -> Result<Reply> {
    let app = &request.app;
    let identity = TokenIdentity { session: id, ..caller.identity()? };
    if !session::end(&app.db.server, identity, app.clock.now()).await? {
        return Err(Error::NotFound("session"));
    }
    session::forget(app, id);
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
