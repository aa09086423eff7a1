//! Users: creating and listing them.

pub mod store;

use sqlx::PgPool;

use crate::auth::{Role, password};
use crate::error::{Error, Result};
use crate::values::clock::Clock;
use crate::values::ids;

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
