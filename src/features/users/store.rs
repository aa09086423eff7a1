//! Users in SQL.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::auth::Role;
use crate::error::{Error, OnConstraint, Result};
use crate::values::ids::UserId;

pub struct New<'a> {
    pub username: &'a str,
    pub email: Option<&'a str>,
    pub name: Option<&'a str>,
    pub role: Role,
    /// From [`crate::auth::password::hash`].
    pub password_hash: &'a str,
}

pub struct Row {
    pub id: UserId,
    pub username: String,
    pub email: Option<String>,
    pub role: String,
    pub disabled_at: Option<DateTime<Utc>>,
}

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
    .on_constraint("users_username_key", || Error::conflict("username_taken", "a user with this name exists"))
    .on_constraint("users_email_key", || Error::conflict("email_taken", "a user with this e-mail address exists"))
    .on_constraint("users_username_length", || Error::invalid("/username", "wrong_length", "accepts 2 to 100 characters"))?;
    Ok(id)
}

/// Changes a password; returns the user, or none if there is no such user name.
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

/// Returns all users, ordered by user name.
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

pub async fn any_exists(db: impl PgExecutor<'_>) -> Result<bool> {
    let exists = sqlx::query_scalar!(r#"select exists (select from users) as "exist!""#).fetch_one(db).await?;
    Ok(exists)
}
