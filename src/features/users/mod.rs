//! People who sign in.

pub mod store;

use sqlx::PgPool;

use crate::auth::{Role, password};
use crate::error::{Error, Result};
use crate::values::clock::Clock;
use crate::values::ids;

/// Makes the first user, `admin`, if there is none at all, and returns the password, which nobody can learn later.
///
/// # Errors
/// The database's.
pub async fn make_first(db: &PgPool, clock: &Clock) -> Result<Option<String>> {
    if store::exist(db).await? {
        return Ok(None);
    }
    let secret = ids::secret();
    let password_hash = password::hash(secret.clone()).await?;
    let new = store::New { username: "admin", email: None, name: None, role: Role::Admin, password_hash: &password_hash };
    match store::insert(db, new, clock.now()).await {
        Ok(_) => Ok(Some(secret)),
        // Another server that starts was quicker, and printed its password.
        Err(Error::Conflict { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
