//! Roles, permissions, and the route filters that check them.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::{session, token};
use crate::api::Authority;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::{Denied, RequestContext};
use crate::values::ids::{SessionId, UserId};

/// Each role may do what the roles before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, schemars::JsonSchema, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Viewer,
    Agent,
    Manager,
    Admin,
}

impl Role {
    /// The word in JSON and SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Manager => "manager",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::Viewer, Self::Agent, Self::Manager, Self::Admin]
            .into_iter()
            .find(|role| word.eq_ignore_ascii_case(role.as_str()))
            .ok_or("a role is viewer, agent, manager or admin")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// See customers, accounts and payments.
    Read,
    /// Create and change customers and accounts, record payments.
    Edit,
    /// Delete, restore and see deleted customers, accounts and payments; post to the ledger by hand, write off, refund.
    Manage,
    /// See and control the sync.
    Operate,
    /// Create and change users.
    Administer,
}

impl Permission {
    pub const ALL: [Self; 5] = [Self::Read, Self::Edit, Self::Manage, Self::Operate, Self::Administer];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Edit => "edit",
            Self::Manage => "manage",
            Self::Operate => "operate",
            Self::Administer => "administer",
        }
    }

    /// The lowest role that has it.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Edit => Role::Agent,
            Self::Manage => Role::Manager,
            Self::Operate | Self::Administer => Role::Admin,
        }
    }
}

/// The signed-in user. A value of this type proves that the permission was checked.
#[derive(Clone, Debug)]
pub struct Caller {
    pub id: UserId,
    /// The current role, not the token's.
    pub role: Role,
    pub session: SessionId,
}

impl Caller {
    /// Whether the caller has the permission of this name; no role has an unknown one.
    #[must_use]
    pub fn has(&self, permission: &str) -> bool {
        Permission::ALL.iter().any(|known| known.name() == permission && self.role >= known.role())
    }

    /// How far the caller may move balances.
    #[must_use]
    pub fn authority(&self) -> Authority {
        if self.role >= Permission::Manage.role() { Authority::Full } else { Authority::Ordinary }
    }

    /// Refuses a caller who could not restore deleted records, and so does not see them.
    pub fn check_sees_deleted(&self) -> Result<()> {
        if self.role < Permission::Manage.role() { Err(Error::Forbidden(Permission::Manage.name())) } else { Ok(()) }
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
                let caller = authenticate(&app, &headers).await.map_err(|error| warp::reject::custom(Denied::from(error)))?;
                context.identify(caller.id);
                if caller.role < permission.role() {
                    return Err(warp::reject::custom(Denied::from(Error::Forbidden(permission.name()))));
                }
                Ok(caller)
            }
        })
        .boxed()
}

async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller> {
    const REFUSED: Error = Error::Unauthenticated("this needs a valid access token: Authorization: Bearer …");
    let mut values = headers.get_all(AUTHORIZATION).iter();
    // With two headers, a proxy and this server could see different callers.
    let (Some(value), None) = (values.next(), values.next()) else { return Err(REFUSED) };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(REFUSED)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(REFUSED);
    }
    let identity = token::check(app.config.access.key(), token, app.clock.now()).ok_or(REFUSED)?;
    let role = session::role(app, identity).await?.ok_or(REFUSED)?;
    Ok(Caller { id: identity.user, role, session: identity.session })
}
