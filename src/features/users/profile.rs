//! What users do with their own user: the profile, the password, a forgotten password.

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use super::requests::ProfileChanges;
use super::rules::NAME;
use super::tokens::{self, Purpose};
use super::user::User;
use super::{routes, store};
use crate::api::{Contended, Reply, Request, fields, no_content};
use crate::app::App;
use crate::auth::Permission::Read;
use crate::auth::{self, Caller, Profile, limited, lockout, may, password_rules};
use crate::error::{Error, Result, Violations};
use crate::http::Routes;
use crate::operation::{Accepted, NoContent};
use crate::routes;
use crate::values::ids::UserId;
use crate::values::json::{Object, Value};

/// Characters of an e-mail address, which may be longer than a user name.
const LOGIN_LIMIT: usize = 254;

/// Bytes of a body: two passwords of the most bytes, some of them escaped.
const BODY_BYTES: u64 = 8 * 1024;

/// Addresses of the caller's own user, beside those of signing in.
pub(super) fn routes_of_own_user(app: &App) -> Routes {
    routes! { app, "auth";
        /// Changes the caller's own user.
        patch ("profile")                    may(Read) up_to(BODY_BYTES) => change:          ProfileChanges -> Profile;
        /// Changes the caller's password, and ends the other sessions.
        post  ("password")                   may(Read) up_to(BODY_BYTES) => change_password: PasswordChange -> NoContent;
        /// Asks for a mail to reset a forgotten password. The answer is the same for unknown users.
        post  ("password" / "reset-request") limited   up_to(BODY_BYTES) => ask_reset:       ResetRequest -> Accepted<NoContent>;
        /// Sets a new password with a mailed token, and ends all sessions.
        post  ("password" / "reset")         limited   up_to(BODY_BYTES) => reset:           Reset -> NoContent;
    }
}

/// Changes the display name or the e-mail address. For the address a client sends `currentPassword` too: who has the address can
/// have the password reset.
async fn change(caller: Caller, mut request: Request) -> Result<Reply> {
    let mut body = request.object().await?;
    let mut violations = Violations::default();
    let given = fields::take::<String>(&mut body, "currentPassword", &mut violations).value();
    let current = store::find(&request.app.db.server, caller.id).await?.ok_or(Error::NotFound(NAME))?;
    let wanted = applied(&current, &mut body.clone(), &mut violations);
    violations.check()?;
    if wanted.email != current.email {
        let Some(password) = given else {
            return Err(Error::invalid("/currentPassword", "required", "is needed to change the e-mail address"));
        };
        check_password(&request, &caller, password).await?;
    }
    request
        .write(caller.id, Contended::Record(caller.id.0), async |connection| {
            let before = store::lock(connection, caller.id).await?.ok_or(Error::NotFound(NAME))?;
            request.expect_version(before.version)?;
            if before.email != current.email {
                // The password was asked for by the address of before.
                return Err(Error::Stale { current: before.version });
            }
            let mut violations = Violations::default();
            let after = applied(&before, &mut body, &mut violations);
            let mut shown = before.shown()?;
            shown.insert(
                "permissions".to_owned(),
                Value::Array(caller.permissions.names().into_iter().map(Value::from).collect()),
            );
            fields::compare_rest(&body, &shown, request.is_canonical(), &mut violations);
            violations.check()?;
            store::update(connection, &after, caller.id).await?;
            auth::show_profile(connection, caller.id).await
        })
        .await
}

fn applied(before: &User, body: &mut Object, violations: &mut Violations) -> User {
    let mut after = before.clone();
    after.apply_own(body, violations);
    after
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PasswordChange {
    #[serde(alias = "oldPassword")]
    current_password: String,
    #[serde(alias = "password")]
    new_password: String,
}

/// Changes the caller's password, and ends the caller's other sessions.
async fn change_password(caller: Caller, mut request: Request) -> Result<Reply> {
    let session = caller.session()?;
    let given: PasswordChange = request.json().await?;
    let user = store::find(&request.app.db.server, caller.id).await?.ok_or(Error::NotFound(NAME))?;
    let mut violations = Violations::default();
    password_rules::check("/newPassword", &given.new_password, user.names(), &mut violations);
    violations.check()?;
    check_password(&request, &caller, given.current_password).await?;
    let hash = routes::hash(&request, given.new_password).await?;
    let reply = request
        .write(caller.id, Contended::Record(caller.id.0), async |connection| {
            store::keep_session(connection, session).await?;
            store::set_password_of(connection, caller.id, &hash, caller.id).await?;
            Ok(no_content())
        })
        .await?;
    routes::forget_sessions(&request);
    Ok(reply)
}

/// Refuses another password than the caller's: who has only found an unlocked device does not know it.
async fn check_password(request: &Request, caller: &Caller, password: String) -> Result<()> {
    if auth::has_password(request, caller.id, password).await? {
        return Ok(());
    }
    Err(Error::invalid("/currentPassword", "wrong_password", "is not the password"))
}

/// Names a user in any of three ways.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PasswordResetRequest")]
struct ResetRequest {
    #[serde(alias = "username", alias = "login")]
    email: String,
}

/// Asks for the mail with which a forgotten password is reset. The answer and its time are the same whether there is such a user or
/// not.
async fn ask_reset(mut request: Request) -> Result<Reply> {
    let given: ResetRequest = request.json().await?;
    let (login, mut violations) = (given.email.trim(), Violations::default());
    violations.length("/email", Some(login), 1, LOGIN_LIMIT);
    violations.check()?;
    tokens::ask_reset(&request.app.db.server, login, request.app.clock.now()).await?;
    Ok(no_content().with_status(StatusCode::ACCEPTED))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PasswordReset")]
struct Reset {
    token: String,
    password: String,
}

/// Sets a new password with a mailed token, and ends all sessions.
async fn reset(mut request: Request) -> Result<Reply> {
    let given: Reset = request.json().await?;
    let (db, now) = (&request.app.db.server, request.app.clock.now());
    let token = tokens::find(&request, Purpose::Reset, &given.token).await?.ok_or_else(bad_token)?;
    let id = UserId(token.user_id.ok_or_else(bad_token)?);
    let user = store::find(db, id).await?.filter(|user| user.is_active).ok_or_else(bad_token)?;
    let mut violations = Violations::default();
    password_rules::check("/password", &given.password, user.names(), &mut violations);
    violations.check()?;
    let hash = routes::hash(&request, given.password).await?;
    let reply = request
        .write(id, Contended::Record(id.0), async |connection| {
            if !tokens::redeem(&mut *connection, token.id, now).await? {
                return Err(bad_token());
            }
            store::set_password_of(&mut *connection, id, &hash, id).await?;
            // Who has the mailbox need not wait for the end of a lock.
            lockout::unlock(connection, id).await?;
            Ok(no_content())
        })
        .await?;
    routes::forget_sessions(&request);
    Ok(reply)
}

/// One error for a token that never was, was used or has expired.
pub(super) fn bad_token() -> Error {
    Error::invalid("/token", "bad_token", "is not valid, or not any more; ask for a new one")
}
