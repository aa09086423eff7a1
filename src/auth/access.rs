//! The caller of a request, and the route filters that check permissions.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::api_keys::{self, ApiKey};
use super::token::{self, TokenIdentity};
use super::{Permission, Permissions, Role, session};
use crate::api::{Authority, Request};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::{Denied, RequestContext};
use crate::rate_limits::Budget;
use crate::search::Collection;
use crate::values::ids::{SessionId, UserId};
use crate::values::personal::Disclosure;

const API_KEY: &str = "x-api-key";

/// The signed-in user, or a machine that stands for one. A value of this type proves that the permission was checked.
#[derive(Clone, Debug)]
pub struct Caller {
    pub id: UserId,
    /// The current role, not the token's.
    pub role: Role,
    /// What the role may do now, and the key, if it is one.
    pub permissions: Permissions,
    credential: Credential,
}

/// What a caller has shown.
#[derive(Clone, Copy, Debug)]
enum Credential {
    Session(SessionId),
    ApiKey,
}

impl Caller {
    /// The caller's session; refuses an API key, which has none.
    pub fn session(&self) -> Result<SessionId> {
        match self.credential {
            Credential::Session(session) => Ok(session),
            Credential::ApiKey => Err(Error::SessionRequired),
        }
    }

    pub(super) fn identity(&self) -> Result<TokenIdentity> {
        Ok(TokenIdentity { user: self.id, session: self.session()? })
    }

    #[must_use]
    pub fn has(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    /// Refuses a caller without the permission.
    pub fn require(&self, permission: Permission) -> Result<()> {
        self.permissions.require(permission)
    }

    /// Whether the caller may read a collection; no caller has a permission that is unknown.
    #[must_use]
    pub fn reads(&self, collection: &Collection) -> bool {
        Permission::named(collection.permission).is_some_and(|permission| self.has(permission))
    }

    /// How much of the personal data of debtors the caller sees.
    #[must_use]
    pub fn disclosure(&self) -> Disclosure {
        self.permissions.disclosure()
    }

    /// How far the caller may move balances.
    #[must_use]
    pub fn authority(&self) -> Authority {
        self.permissions.authority()
    }

    /// Refuses a caller who could not restore deleted records, and so does not see them.
    pub fn check_sees_deleted(&self) -> Result<()> {
        self.require(Permission::Manage)
    }
}

/// Admits every request.
#[must_use]
pub fn public(_app: &App) -> BoxedFilter<()> {
    warp::any().boxed()
}

/// Admits requests without a caller, but only so many from one address; the others are refused late, so that a client that sends
/// one after the other becomes slow.
#[must_use]
pub fn limited(app: &App) -> BoxedFilter<()> {
    let app = app.clone();
    warp::ext::get::<RequestContext>()
        .and_then(move |context: RequestContext| {
            let app = app.clone();
            async move {
                match app.rate_limits.address(context.client()).await.map(|budget| budget.check()) {
                    Some(Err(error)) => Err(warp::reject::custom(Denied::from(context.refuse(error).await))),
                    _ => Ok(()),
                }
            }
        })
        .untuple_one()
        .boxed()
}

/// Admits callers with the permission, and extracts the [`Caller`].
#[must_use]
pub fn may(app: &App, permission: Permission) -> BoxedFilter<(Caller,)> {
    let app = app.clone();
    warp::header::headers_cloned()
        .and(warp::ext::get::<RequestContext>())
        .and_then(move |headers: HeaderMap, context: RequestContext| {
            let app = app.clone();
            async move {
                let denied = |error| warp::reject::custom(Denied::from(error));
                let caller = authenticate(&app, &headers).await.map_err(denied)?;
                context.identify(caller.id);
                context.disclose(caller.disclosure());
                check(app.rate_limits.user(caller.id).await, &context).map_err(denied)?;
                caller.require(permission).map(|()| caller).map_err(denied)
            }
        })
        .boxed()
}

/// Counts an import or a bulk update, which each caller sends few of.
pub async fn count_bulk(request: &Request, caller: &Caller) -> Result<()> {
    check(request.app.rate_limits.bulk(caller.id).await, &request.context)
}

/// Shows the budget in the answer, and refuses the request if it is exceeded.
fn check(budget: Option<Budget>, context: &RequestContext) -> Result<()> {
    let Some(budget) = budget else { return Ok(()) };
    context.show(&budget);
    budget.check()
}

/// The caller of an address that is open to all; none without credentials.
pub async fn caller(request: &Request) -> Result<Option<Caller>> {
    if request.headers.contains_key(AUTHORIZATION) || request.headers.contains_key(API_KEY) {
        authenticate(&request.app, &request.headers).await.map(Some)
    } else {
        Ok(None)
    }
}

/// Finds out who sends a request, without a look at permissions.
pub(super) async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller> {
    const REFUSED: Error = Error::Unauthenticated("this needs a valid access token or API key: Authorization: Bearer …");
    match presented(headers).ok_or(REFUSED)? {
        Presented::Token(token) => {
            let identity = token::check(app.config.access.keys(), token, app.clock.now()).ok_or(REFUSED)?;
            let owner = session::owner(app, identity).await?.ok_or(REFUSED)?;
            let credential = Credential::Session(identity.session);
            Ok(Caller { id: owner.user, role: owner.role, permissions: owner.permissions, credential })
        }
        Presented::Key(key) => {
            let key = ApiKey::read(key).ok_or(REFUSED)?;
            let holder = api_keys::holder(app, &key).await?.ok_or(REFUSED)?;
            let credential = Credential::ApiKey;
            Ok(Caller { id: holder.owner, role: holder.role, permissions: holder.permissions, credential })
        }
    }
}

enum Presented<'a> {
    Token(&'a str),
    Key(&'a str),
}

/// The one credential of a request. With two, a proxy and this server could see different callers.
fn presented(headers: &HeaderMap) -> Option<Presented<'_>> {
    let (mut bearers, mut keys) = (headers.get_all(AUTHORIZATION).iter(), headers.get_all(API_KEY).iter());
    match (bearers.next(), bearers.next(), keys.next(), keys.next()) {
        (Some(value), None, None, None) => {
            let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
            let is_key = credential.starts_with(api_keys::PREFIX);
            let presented = if is_key { Presented::Key(credential) } else { Presented::Token(credential) };
            scheme.eq_ignore_ascii_case("bearer").then_some(presented)
        }
        (None, None, Some(key), None) => Some(Presented::Key(key.to_str().ok()?)),
        _ => None,
    }
}
