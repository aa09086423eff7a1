//! Roles, permissions, and the filters of the route tables that check them.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::{session, token};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::{Denied, RequestContext};
use crate::values::ids::{SessionId, UserId};

/// What a user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Works on accounts.
    Agent,
    /// Works on accounts and manages agents and viewers.
    Manager,
    /// Everything.
    Admin,
}

impl Role {
    /// The word on the wire and in SQL.
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

/// What a row of a route table asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// See customers, accounts and payments.
    Read,
    /// Make and change customers and accounts, record payments.
    Edit,
    /// Delete and restore customers, accounts and payments; post to the ledger by hand.
    Manage,
    /// See and steer the sync.
    Operate,
    /// Make and change users.
    Administer,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Read, Self::Edit, Self::Manage, Self::Operate, Self::Administer];

    /// The word in replies.
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

    /// The least role that has it.
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

/// Who is signed in; holding one proves that the permission was checked.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub id: UserId,
    /// The user's role now, not when the token was made.
    pub role: Role,
    /// The device.
    pub session: SessionId,
}

/// Lets a row be used by everybody.
#[must_use]
pub fn public(_app: &App) -> BoxedFilter<()> {
    warp::any().boxed()
}

/// Lets a row be used by callers with the permission, and hands the handler the [`Caller`].
#[must_use]
pub fn may(app: &App, permission: Permission) -> BoxedFilter<(Caller,)> {
    let app = app.clone();
    warp::header::headers_cloned()
        .and(warp::ext::get::<RequestContext>())
        .and_then(move |headers: HeaderMap, exchange: RequestContext| {
            let app = app.clone();
            async move {
                let caller = authenticate(&app, &headers).await.map_err(|error| warp::reject::custom(Denied::from(error)))?;
                exchange.identify(caller.id);
                match caller.role >= permission.role() {
                    true => Ok(caller),
                    false => Err(warp::reject::custom(Denied::from(Error::Forbidden(permission.name())))),
                }
            }
        })
        .boxed()
}

async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller> {
    const REFUSED: Error = Error::Unauthenticated("a valid access token is needed: Authorization: Bearer …");
    let mut values = headers.get_all(AUTHORIZATION).iter();
    // Two such headers are an attempt to show different callers to different readers.
    let (Some(value), None) = (values.next(), values.next()) else { return Err(REFUSED) };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(REFUSED)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(REFUSED);
    }
    let proof = token::check(app.config.access.key(), token, app.clock.now()).ok_or(REFUSED)?;
    let role = session::role(app, proof).await?.ok_or(REFUSED)?;
    Ok(Caller { id: proof.user, role, session: proof.session })
}
