//! The addresses of users.

use hyper::Method;
use hyper::header::{HeaderName, LINK};
use schemars::JsonSchema;
use serde::Serialize;

use super::requests::{Changes, Listing, NewPassword, NewUser};
use super::rules::{self, NAME};
use super::store::{self, Wanted};
use super::tokens;
use super::user::User;
use crate::api::paging::Part;
use crate::api::{Contended, Reply, Request, created, fields, json, no_content};
use crate::app::App;
use crate::auth::Permission::Supervise;
use crate::auth::{Caller, Role, lockout, may, password, password_rules};
use crate::error::{Error, Result, Violations, clipped};
use crate::http::Routes;
use crate::operation::{Created, NoContent, Nothing};
use crate::routes;
use crate::values::ids::UserId;
use crate::values::json::Object;

const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Users of the bare array of the older address, whose clients know no pages.
const BARE_LIMIT: u32 = 1_000;

/// The access matrix of users. Whom a caller sees and changes is a matter of their roles; see [`rules::managed_roles`].
pub(super) fn routes(app: &App) -> Routes {
    routes! { app, "users";
        get    ()                    may(Supervise) => list:         Listing -> Listed;
        post   ()                    may(Supervise) => create:       NewUser -> Created<User>;
        get    (UserId)              may(Supervise) => read:         Nothing -> User;
        patch  (UserId)              may(Supervise) => change:       Changes -> User;
        /// Disables a user. Users are never erased.
        delete (UserId)              may(Supervise) => disable:      Nothing -> NoContent;
        /// Keeps a user from signing in, and ends the sessions.
        post   (UserId / "disable")  may(Supervise) => disable:      Nothing -> User;
        /// Lets a disabled user sign in again.
        post   (UserId / "enable")   may(Supervise) => enable:       Nothing -> User;
        /// Lets a user try again who has sent too many wrong passwords.
        post   (UserId / "unlock")   may(Supervise) => unlock:       Nothing -> User;
        /// Sets a password, or mails the user a token to choose one.
        post   (UserId / "password") may(Supervise) => set_password: NewPassword -> NoContent;
    }
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "UserPage")]
struct Page {
    data: Vec<User>,
    total: i64,
    limit: u32,
    next_cursor: Option<String>,
}

/// A page; on the older address a bare array.
#[derive(JsonSchema)]
#[schemars(untagged, rename = "UserListPage")]
#[expect(dead_code, reason = "it is a schema")]
enum Listed {
    Page(Page),
    Array(Vec<User>),
}

/// Lists users by user name: a page on the canonical address, a bare array on the older one.
async fn list(caller: Caller, request: Request) -> Result<Reply> {
    let db = &request.app.db.read;
    let managed = rules::managed_roles(db, &caller).await?;
    let Asked { wanted, part } = Asked::read(&request, &managed)?;
    let mut users = store::page(db, &wanted, part.after, part.to_read()).await?;
    let total = store::count(db, &wanted).await?;
    let next_cursor = part.end(&request, &mut users, |user| user.id)?;
    let (limit, link) = (part.limit, next_cursor.as_ref().map(|next| next_link(&request, next)));
    let reply = if request.is_canonical() { json(&Page { data: users, total, limit, next_cursor })? } else { json(&users)? };
    let reply = reply.with(TOTAL_COUNT, &total.to_string());
    Ok(match link {
        Some(link) => reply.with(LINK, &link),
        None => reply,
    })
}

fn next_link(request: &Request, cursor: &str) -> String {
    let kept = request.parameters().filter(|(name, _)| name != "cursor");
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair("cursor", cursor).finish();
    format!("<{}?{query}>; rel=\"next\"", request.path)
}

async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    let (mut body, mut violations) = (request.object().await?, Violations::default());
    let mut user = User::read_new(&mut body, &mut violations);
    user.apply_role(&mut body, &mut violations);
    let password = take_password(&mut body, &user, &mut violations);
    fields::refuse_unknown(&body, &mut violations);
    violations.check()?;
    rules::check_gives(&rules::managed_roles(&request.app.db.read, &caller).await?, user.role)?;
    (user.created_at, user.created_by) = (request.app.clock.now(), Some(caller.id.0));
    let hash = hash(&request, password).await?;
    request
        .write(caller.id, Contended::Nothing, async |connection| {
            store::create(&mut *connection, &user, &hash).await?;
            let user = store::find(connection, UserId(user.id)).await?.ok_or(Error::NotFound(NAME))?;
            Ok(created(&format!("/api/v1/users/{}", user.id), &user)?.with_version(user.version))
        })
        .await
}

async fn read(id: UserId, caller: Caller, request: Request) -> Result<Reply> {
    let db = &request.app.db.read;
    let managed = rules::managed_roles(db, &caller).await?;
    let user = rules::visible(store::find(db, id).await?, &managed)?;
    Ok(json(&user)?.with_version(user.version))
}

/// Changes what the request names.
async fn change(id: UserId, caller: Caller, mut request: Request) -> Result<Reply> {
    let mut body = request.object().await?;
    let now = request.app.clock.now();
    write_change(id, &caller, &request, |before, after| {
        let mut violations = Violations::default();
        after.apply(&mut body, now, &mut violations);
        fields::compare_rest(&body, &before.shown()?, request.is_canonical(), &mut violations);
        violations.check()
    })
    .await
}

/// Disables the user. None is erased: what users have done stays theirs.
async fn disable(id: UserId, caller: Caller, request: Request) -> Result<Reply> {
    let now = request.app.clock.now();
    write_change(id, &caller, &request, |_, after| {
        after.set_active(false, now);
        Ok(())
    })
    .await
}

async fn enable(id: UserId, caller: Caller, request: Request) -> Result<Reply> {
    let now = request.app.clock.now();
    write_change(id, &caller, &request, |_, after| {
        after.set_active(true, now);
        Ok(())
    })
    .await
}

async fn unlock(id: UserId, caller: Caller, request: Request) -> Result<Reply> {
    request
        .write(caller.id, Contended::Record(id.0), async |connection| {
            rules::changeable(connection, id, &caller, &request).await?;
            lockout::unlock(&mut *connection, id).await?;
            let user = store::find(connection, id).await?.ok_or(Error::NotFound(NAME))?;
            Ok(json(&user)?.with_version(user.version))
        })
        .await
}

/// Applies a change to a user, and answers with the user, or with nothing to a deletion.
async fn write_change(
    id: UserId,
    caller: &Caller,
    request: &Request,
    apply: impl FnOnce(&User, &mut User) -> Result<()>,
) -> Result<Reply> {
    let reply = request
        .write(caller.id, Contended::Record(id.0), async |connection| {
            let before = rules::changeable(connection, id, caller, request).await?;
            let mut after = before.clone();
            apply(&before, &mut after)?;
            rules::change(connection, &before, &after, caller).await?;
            let user = store::find(connection, id).await?.ok_or(Error::NotFound(NAME))?;
            let reply = if request.method == Method::DELETE { no_content() } else { json(&user)? };
            Ok(reply.with_version(user.version))
        })
        .await?;
    forget_sessions(request);
    Ok(reply)
}

/// Sets the password that the request names, or mails the user a token to choose one.
async fn set_password(id: UserId, caller: Caller, mut request: Request) -> Result<Reply> {
    let (mut body, mut violations) = (request.object().await?, Violations::default());
    let managed = rules::managed_roles(&request.app.db.read, &caller).await?;
    let user = rules::visible(store::find(&request.app.db.read, id).await?, &managed)?;
    rules::check_is_other(&user, &caller)?;
    let password = body.contains_key("password").then(|| take_password(&mut body, &user, &mut violations));
    fields::refuse_unknown(&body, &mut violations);
    violations.check()?;
    let hash = match password {
        Some(password) => Some(hash(&request, password).await?),
        None => None,
    };
    let now = request.app.clock.now();
    let reply = request
        .write(caller.id, Contended::Record(id.0), async |connection| {
            let user = rules::changeable(connection, id, &caller, &request).await?;
            match &hash {
                Some(hash) => store::set_password_of(connection, id, hash, caller.id).await?,
                None if user.email.is_none() || !user.is_active => {
                    return Err(Error::conflict("no_address", "the user is disabled or has no e-mail address; set a password"));
                }
                None => tokens::ask_reset_of(connection, id, caller.id, now).await?,
            }
            Ok(no_content())
        })
        .await?;
    forget_sessions(&request);
    Ok(reply)
}

/// Takes a new password for a user out of a request.
pub(super) fn take_password(body: &mut Object, user: &User, violations: &mut Violations) -> String {
    let password = fields::take::<String>(body, "password", violations);
    match password.value() {
        Some(password) => {
            password_rules::check("/password", &password, user.names(), violations);
            password
        }
        None => {
            violations.add("/password", "required", "is missing");
            String::new()
        }
    }
}

/// Hashes a password while the request holds no place that others need.
pub(super) async fn hash(request: &Request, password: String) -> Result<String> {
    request.context.slot().leave_during(password::hash(password)).await?
}

/// Makes this server read again what sessions may do; Postgres tells the other servers.
pub(super) fn forget_sessions(request: &Request) {
    request.app.cache.clear();
}

/// What the parameters of the list ask for.
struct Asked {
    wanted: Wanted,
    part: Part,
}

impl Asked {
    /// Only users of these roles are listed.
    fn read(request: &Request, managed: &[Role]) -> Result<Self> {
        let wanted = Wanted { phrase: None, roles: managed.to_vec(), is_disabled: None };
        let part = if request.is_canonical() { Part::new(request) } else { Part::of(BARE_LIMIT, BARE_LIMIT) };
        let mut asked = Self { wanted, part };
        for (name, value) in request.parameters() {
            if asked.part.take(request, &name, &value)? {
                continue;
            }
            let refused = |message: String| Error::malformed("bad_parameter", format!("{}: {message}", clipped(&name)));
            match &*name {
                "q" | "search" => asked.wanted.phrase = Some(value.into_owned()),
                "role" => {
                    let roles: Vec<Role> = value
                        .split(',')
                        .map(str::parse)
                        .collect::<Result<_, _>>()
                        .map_err(|wrong: &str| refused(wrong.into()))?;
                    asked.wanted.roles.retain(|role| roles.contains(role));
                }
                "disabled" => asked.wanted.is_disabled = Some(request.flag("disabled")?),
                _ => return Err(refused("known are q, role, disabled, limit, cursor and syncToken".into())),
            }
        }
        Ok(asked)
    }
}
