//! The caller of a request, and the route filters that check permissions.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::token::{self, TokenIdentity};
use super::{Permission, Permissions, Role, session};
use crate::api::{Authority, Request};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::{Denied, RequestContext};
use crate::search::Collection;
use crate::values::ids::{SessionId, UserId};

/// The signed-in user. A value of this type proves that the permission was checked.
#[derive(Clone, Debug)]
pub struct Caller {
    pub id: UserId,
    /// The current role, not the token's.
    pub role: Role,
    /// What the role may do now.
    pub permissions: Permissions,
    pub session: SessionId,
}

impl Caller {
    /// The caller's session.
    pub(super) fn identity(&self) -> TokenIdentity {
        TokenIdentity { user: self.id, session: self.session }
    }

    #[must_use]
    pub fn has(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    /// Refuses a caller without the permission.
    pub fn require(&self, permission: Permission) -> Result<()> {
        if self.has(permission) { Ok(()) } else { Err(Error::Forbidden(permission.name())) }
    }

    /// Whether the caller may read a collection; no caller has a permission that is unknown.
    #[must_use]
    pub fn reads(&self, collection: &Collection) -> bool {
        Permission::named(collection.permission).is_some_and(|permission| self.has(permission))
    }

    /// How far the caller may move balances.
    #[must_use]
    pub fn authority(&self) -> Authority {
        if self.has(Permission::Manage) { Authority::Full } else { Authority::Ordinary }
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
                caller.require(permission).map(|()| caller).map_err(denied)
            }
        })
        .boxed()
}

/// The caller of an address that is open to all; none without credentials.
pub async fn caller(request: &Request) -> Result<Option<Caller>> {
    if request.headers.contains_key(AUTHORIZATION) {
        authenticate(&request.app, &request.headers).await.map(Some)
    } else {
        Ok(None)
    }
}

/// Finds out who sends a request, without a look at permissions.
pub(super) async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller> {
    const REFUSED: Error = Error::Unauthenticated("this needs a valid access token: Authorization: Bearer …");
    let mut values = headers.get_all(AUTHORIZATION).iter();
    // With two headers, a proxy and this server could see different callers.
    let (Some(value), None) = (values.next(), values.next()) else { return Err(REFUSED) };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(REFUSED)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(REFUSED);
    }
    let identity = token::check(app.config.access.keys(), token, app.clock.now()).ok_or(REFUSED)?;
    let owner = session::owner(app, identity).await?.ok_or(REFUSED)?;
    Ok(Caller { id: owner.user, role: owner.role, permissions: owner.permissions, session: identity.session })
}
