//! Demo logins with known passwords.

use sqlx::PgConnection;

use crate::auth::{Role, password};
use crate::error::Error;
use crate::features::users::store::{self, New};
use crate::values::clock::Clock;

/// Creates one user of each role; existing users keep their passwords.
pub(super) async fn create_users(connection: &mut PgConnection, clock: &Clock) -> anyhow::Result<()> {
    for role in [Role::Admin, Role::Manager, Role::Agent, Role::Viewer] {
        let username = role.as_str();
        let password_hash = &password::hash(format!("{username}123")).await?;
        let new = New { username, email: None, name: None, role, password_hash };
        match store::insert(&mut *connection, new, clock.now()).await {
            Ok(_) | Err(Error::Conflict { code: "username_taken", .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
