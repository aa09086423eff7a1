//! Users: who they are, what they may do, how they become users and get back in.

mod delivery;
mod profile;
mod registration;
mod requests;
mod roles;
mod routes;
mod rules;
pub mod store;
mod tokens;
mod user;

use sqlx::PgPool;

use crate::app::App;
use crate::auth::{Role, password};
use crate::error::{Error, Result};
use crate::http::Routes;
use crate::values::clock::Clock;
use crate::values::ids;

pub use delivery::{deliver_due, deliver_mail};
pub use roles::all as permissions_of_roles;

/// The addresses of users, of roles, and of the caller's own user.
#[must_use]
pub fn routes(app: &App) -> Routes {
    Routes::join(vec![
        routes::routes(app),
        roles::routes(app),
        profile::routes_of_own_user(app),
        registration::registration_routes(app),
        registration::invitation_routes(app),
    ])
}

/// Creates the user `admin` if there are no users; returns its random password, which is stored only as a hash.
pub async fn create_first(db: &PgPool, clock: &Clock) -> Result<Option<String>> {
    if store::any_exists(db).await? {
        return Ok(None);
    }
    let secret = ids::secret();
    let password_hash = password::hash(secret.clone()).await?;
    let new = store::New { username: "admin", email: None, name: None, role: Role::Admin, password_hash: &password_hash };
    match store::insert(db, new, clock.now()).await {
        Ok(_) => Ok(Some(secret)),
        // Another server that is starting was faster, and printed its password.
        Err(Error::Conflict { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
