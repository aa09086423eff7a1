//! Users in SQL.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::auth::Role;
use crate::error::{Error, OnConstraint, Result};
use crate::values::ids::UserId;

/// A user to be made.
pub struct New<'a> {
    /// The name to sign in with.
    pub username: &'a str,
    /// An address to sign in with instead.
    pub email: Option<&'a str>,
    /// The name that others see.
    pub name: Option<&'a str>,
    /// What the user may do.
    pub role: Role,
    /// From [`crate::auth::password::hash`].
    pub password_hash: &'a str,
}

/// A user.
pub struct Row {
    /// The user.
    pub id: UserId,
    /// The name to sign in with.
    pub username: String,
    /// An address to sign in with instead.
    pub email: Option<String>,
    /// What the user may do.
    pub role: String,
    /// Since when the user may not sign in.
    pub disabled_at: Option<DateTime<Utc>>,
}

/// Makes a user.
///
/// # Errors
/// The name or the address is taken.
pub async fn insert(db: impl PgExecutor<'_>, new: New<'_>, now: DateTime<Utc>) -> Result<UserId> {
    let id = UserId::new();
    sqlx::query!(
        r#"
        insert into users (id, username, email, name, role, password_hash, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $7)
        "#,
        id.0,
        new.username,
        new.email,
        new.name,
        new.role.as_str(),
        new.password_hash,
        now,
    )
    .execute(db)
    .await
    .on_constraint("users_username_key", || Error::conflict("username_taken", "there is a user of that name"))
    .on_constraint("users_email_key", || Error::conflict("email_taken", "there is a user with that e-mail address"))
    .on_constraint("users_username_length", || Error::invalid("/username", "wrong_length", "takes 2 to 100 characters"))?;
    Ok(id)
}

/// Changes the password of the user of a name, and says who that is.
///
/// # Errors
/// The database's.
pub async fn set_password(db: impl PgExecutor<'_>, username: &str, password_hash: &str) -> Result<Option<UserId>> {
    let id = sqlx::query_scalar!(
        r#"
        update users
        set password_hash = $2
        where lower(username) = lower($1)
        returning id as "id: UserId"
        "#,
        username,
        password_hash,
    )
    .fetch_optional(db)
    .await?;
    Ok(id)
}

/// Lists all users by name.
///
/// # Errors
/// The database's.
pub async fn list(db: impl PgExecutor<'_>) -> Result<Vec<Row>> {
    let users = sqlx::query_as!(
        Row,
        r#"
        select id as "id: UserId", username, email, role, disabled_at
        from users
        order by lower(username)
        "#,
    )
    .fetch_all(db)
    .await?;
    Ok(users)
}

/// Whether there is any user.
///
/// # Errors
/// The database's.
pub async fn exist(db: impl PgExecutor<'_>) -> Result<bool> {
    let exist = sqlx::query_scalar!(r#"select exists (select from users) as "exist!""#).fetch_one(db).await?;
    Ok(exist)
}
