//! Users in SQL.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::auth::Role;
use crate::error::{Error, Result, Violations};
use crate::validate::Change;
use crate::values::ids::UserId;
use crate::values::text::is_email;

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

impl New<'_> {
    fn check(&self) -> Result<()> {
        let mut violations = Violations::default();
        let text = |text: &str| Change::new(text.to_owned());
        violations.text("/username", text(self.username), (2, 100), &mut None);
        violations.text("/name", self.name.map_or(Change::Keep, text), (1, 200), &mut None);
        violations.text("/email", self.email.map_or(Change::Keep, text), (3, 254), &mut None);
        if self.email.is_some_and(|email| !is_email(email)) {
            violations.add("/email", "not_a_contact", "is no e-mail address");
        }
        violations.check()
    }
}

/// Inserts a user.
///
/// # Errors
/// A name or an address that cannot be one, or that another user has.
pub async fn insert(db: impl PgExecutor<'_>, new: New<'_>, now: DateTime<Utc>) -> Result<UserId> {
    new.check()?;
    let id = UserId::new();
    // A violated constraint would put the value into the log of Postgres.
    let inserted = sqlx::query!(
        r#"
        with inserted as (
          insert into users (id, username, email, name, role, password_hash, created_at, updated_at)
          values ($1, $2, $3, $4, $5, $6, $7, $7)
          on conflict do nothing
          returning id
        )
        select
          exists (select from inserted) as "is_done!",
          exists (select from users where lower(username) = lower($2)) as "has_name!"
        "#,
        id.0,
        new.username,
        new.email,
        new.name,
        new.role.as_str(),
        new.password_hash,
        now,
    )
    .fetch_one(db)
    .await?;
    if inserted.is_done {
        Ok(id)
    } else if inserted.has_name || new.email.is_none() {
        Err(Error::conflict("username_taken", "a user with this name exists"))
    } else {
        Err(Error::conflict("email_taken", "a user with this e-mail address exists"))
    }
}

/// Returns the user of a user name.
pub async fn find(db: impl PgExecutor<'_>, username: &str) -> Result<Option<UserId>> {
    let id = sqlx::query_scalar!(r#"select id as "id: UserId" from users where lower(username) = lower($1)"#, username);
    Ok(id.fetch_optional(db).await?)
}

/// Gives a user another role; returns the user, or none if there is no such user name. The user's sessions end.
pub async fn set_role(db: impl PgExecutor<'_>, username: &str, role: Role) -> Result<Option<UserId>> {
    let id = sqlx::query_scalar!(
        r#"
        update users
        set role = $2
        where lower(username) = lower($1)
        returning id as "id: UserId"
        "#,
        username,
        role.as_str(),
    );
    Ok(id.fetch_optional(db).await?)
}

/// Disables a user from a moment on, or enables one; returns the user, or none if there is no such user name. The user's sessions
/// end.
pub async fn set_disabled(db: impl PgExecutor<'_>, username: &str, at: Option<DateTime<Utc>>) -> Result<Option<UserId>> {
    let id = sqlx::query_scalar!(
        r#"
        update users
        set disabled_at = $2
        where lower(username) = lower($1)
        returning id as "id: UserId"
        "#,
        username,
        at,
    );
    Ok(id.fetch_optional(db).await?)
}

/// Changes a password; returns the user, or none if there is no such user name. The user's sessions end.
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
