//! Users in SQL.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::user::User;
use crate::auth::Role;
use crate::db::rows::{self, Written};
use crate::error::{Error, OnConstraint, Result, Violations};
use crate::validate::Change;
use crate::values::ids::{SessionId, UserId};
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
    let New { username, email, name, role, password_hash } = new;
    let user = User {
        id: UserId::new().0,
        username: username.to_owned(),
        email: email.map(str::to_owned),
        name: name.map(str::to_owned),
        role,
        created_at: now,
        ..User::default()
    };
    create(db, &user, password_hash).await.map(|()| UserId(user.id))
}

/// Inserts a user whose members are checked.
///
/// # Errors
/// A name or an address that another user has.
pub(super) async fn create(db: impl PgExecutor<'_>, user: &User, password_hash: &str) -> Result<()> {
    // A violated constraint would put the value into the log of Postgres.
    let inserted = sqlx::query!(
        r#"
        with inserted as (
          insert into users (
            id, username, email, name, role, password_hash, created_at, updated_at, created_by, updated_by)
          values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $8)
          on conflict do nothing
          returning id
        )
        select
          exists (select from inserted) as "is_done!",
          exists (select from users where lower(username) = lower($2)) as "has_name!"
        "#,
        user.id,
        user.username,
        user.email,
        user.name,
        user.role.as_str(),
        password_hash,
        user.created_at,
        user.created_by,
    )
    .fetch_one(db)
    .await?;
    if inserted.is_done {
        Ok(())
    } else if inserted.has_name || user.email.is_none() {
        Err(username_taken())
    } else {
        Err(email_taken())
    }
}

fn username_taken() -> Error {
    Error::conflict("username_taken", "a user with this name exists")
}

/// A user with that e-mail address exists.
pub(super) fn email_taken() -> Error {
    Error::conflict("email_taken", "a user with this e-mail address exists")
}

/// What a list of users asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Each word of it is part of the user name, the display name or the e-mail address.
    pub(super) phrase: Option<String>,
    pub(super) roles: Vec<Role>,
    pub(super) is_disabled: Option<bool>,
}

impl Wanted {
    fn roles(&self) -> Vec<String> {
        self.roles.iter().map(|role| role.as_str().to_owned()).collect()
    }
}

/// Reads a page of users by user name, behind that of the user `after`.
pub(super) async fn page(db: impl PgExecutor<'_>, wanted: &Wanted, after: Option<Uuid>, limit: i64) -> sqlx::Result<Vec<User>> {
    let users = sqlx::query_as!(
        User,
        r#"
        select
          id, version, username, email, name, role as "role: Role", disabled_at is null as "is_active!", disabled_at,
          created_at, updated_at, created_by, updated_by
        from users
        where role = any($1)
        and ($2::boolean is null or (disabled_at is not null) = $2)
        and not exists (
          select
          from unnest(string_to_array(fold($3), ' ')) as word
          where strpos(fold(concat_ws(' ', username, name, email)), word) = 0
        )
        and ($4::uuid is null or lower(username) > (select lower(username) from users where id = $4))
        order by lower(username)
        limit $5
        "#,
        &wanted.roles(),
        wanted.is_disabled,
        wanted.phrase,
        after,
        limit,
    );
    users.fetch_all(db).await
}

/// Counts the users of all pages.
pub(super) async fn count(db: impl PgExecutor<'_>, wanted: &Wanted) -> sqlx::Result<i64> {
    let count = sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from users
        where role = any($1)
        and ($2::boolean is null or (disabled_at is not null) = $2)
        and not exists (
          select
          from unnest(string_to_array(fold($3), ' ')) as word
          where strpos(fold(concat_ws(' ', username, name, email)), word) = 0
        )
        "#,
        &wanted.roles(),
        wanted.is_disabled,
        wanted.phrase,
    );
    count.fetch_one(db).await
}

pub(super) async fn find(db: impl PgExecutor<'_>, id: UserId) -> sqlx::Result<Option<User>> {
    let user = sqlx::query_as!(
        User,
        r#"
        select
          id, version, username, email, name, role as "role: Role", disabled_at is null as "is_active!", disabled_at,
          created_at, updated_at, created_by, updated_by
        from users
        where id = $1
        "#,
        id.0,
    );
    user.fetch_optional(db).await
}

/// Reads a user and locks the row until the transaction ends; others may refer to it meanwhile ([`crate::db::rows`], order of locks).
pub(super) async fn lock(connection: &mut PgConnection, id: UserId) -> sqlx::Result<Option<User>> {
    sqlx::query_scalar!("select id from users where id = $1 for no key update", id.0).fetch_optional(&mut *connection).await?;
    find(connection, id).await
}

/// Writes what can change of a locked user.
///
/// # Errors
/// A name or an address that another user has; the last enabled admin.
pub(super) async fn update(connection: &mut PgConnection, user: &User, by: UserId) -> Result<()> {
    let written = rows::update_unique(&mut *connection, "users", user.id, &user.columns(), Some(by.0)).await;
    match written.on_constraint("users_last_admin", last_admin)? {
        Written::Done => Ok(()),
        Written::Taken => Err(taken(connection, user).await?),
    }
}

fn last_admin() -> Error {
    Error::conflict("last_admin", "this is the last enabled admin; make another one first")
}

/// Whether a user has this e-mail address.
pub(super) async fn has_email(db: impl PgExecutor<'_>, email: &str) -> sqlx::Result<bool> {
    let exists = sqlx::query_scalar!(r#"select exists (select from users where lower(email) = lower($1)) as "exists!""#, email);
    exists.fetch_one(db).await
}

async fn taken(connection: &mut PgConnection, user: &User) -> Result<Error> {
    let has_name = sqlx::query_scalar!(
        r#"select exists (select from users where lower(username) = lower($1) and id <> $2) as "has_name!""#,
        user.username,
        user.id,
    );
    Ok(if has_name.fetch_one(connection).await? { username_taken() } else { email_taken() })
}

/// Gives a user another password; the user's sessions end.
pub(super) async fn set_password_of(db: impl PgExecutor<'_>, id: UserId, password_hash: &str, by: UserId) -> sqlx::Result<()> {
    let update = sqlx::query!("update users set password_hash = $2, updated_by = $3 where id = $1", id.0, password_hash, by.0);
    update.execute(db).await.map(drop)
}

/// Keeps a session from ending with the others when this transaction changes its user's password.
pub(super) async fn keep_session(connection: &mut PgConnection, session: SessionId) -> sqlx::Result<()> {
    let kept = sqlx::query_scalar!("select set_config('collections.kept_session', $1, true)", session.to_string());
    kept.fetch_one(connection).await.map(drop)
}

/// Returns the user of a user name.
pub async fn id_of(db: impl PgExecutor<'_>, username: &str) -> Result<Option<UserId>> {
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
    id.fetch_optional(db).await.on_constraint("users_last_admin", last_admin)
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
    id.fetch_optional(db).await.on_constraint("users_last_admin", last_admin)
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
