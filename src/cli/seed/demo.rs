//! Logins for a demonstration, with passwords that everybody knows.

use sqlx::PgConnection;

use crate::auth::{Role, password};
use crate::error::Error;
use crate::features::users::store::{self, New};
use crate::values::clock::Clock;

/// Makes one user of each role; those that are there keep their passwords.
pub(super) async fn make_users(connection: &mut PgConnection, clock: &Clock) -> anyhow::Result<()> {
    for role in [Role::Admin, Role::Manager, Role::Agent, Role::Viewer] {
        let username = role.as_str();
        let password_hash = &password::hash(format!("{username}123")).await?;
        let new = New { username, email: None, name: None, role, password_hash };
        match store::insert(&mut *connection, new, clock.now()).await {
            Err(Error::Conflict { code: "username_taken", .. }) => {}
            made => drop(made?),
        }
    }
    Ok(())
}
