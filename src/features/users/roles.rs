//! Roles and what each may do.

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};

use super::requests::RolePermissions;
use crate::api::{Contended, Reply, Request, fields, json};
use crate::app::App;
use crate::auth::Permission::{self, Administer, Read};
use crate::auth::{Caller, Permissions, Role, may};
use crate::error::{Error, Result, Violations};
use crate::http::Routes;
use crate::operation::Nothing;
use crate::routes;

/// Most permissions that a request names; a repeated one counts once.
const MOST_NAMES: usize = 50;

/// The access matrix of roles.
pub(super) fn routes(app: &App) -> Routes {
    routes! { app, "roles";
        /// Shows what each role may do.
        get ()                         may(Read)       => list:    Nothing -> Roles;
        /// Says what a role may do, from the next request on.
        put (RoleName / "permissions") may(Administer) => replace: RolePermissions -> Shown;
    }
}

/// In an address. An unknown one is 404, so it is read by the handler.
type RoleName = String;

/// A role with what it may do.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Role")]
struct Shown {
    role: Role,
    /// Differs between any two sets of permissions.
    version: i64,
    permissions: Vec<&'static str>,
}

impl Shown {
    fn new(role: Role, permissions: Permissions) -> Self {
        Self { role, version: permissions.version(), permissions: permissions.names() }
    }
}

#[derive(JsonSchema, Serialize)]
struct Roles {
    data: Vec<Shown>,
}

async fn list(_: Caller, request: Request) -> Result<Reply> {
    let mut data = Vec::with_capacity(Role::ALL.len());
    for (role, permissions) in all(&request.app.db.read).await? {
        data.push(Shown::new(role, permissions));
    }
    json(&Roles { data })
}

/// Says what a role may do. It counts for sessions that are under way too, from the next request on.
async fn replace(role: RoleName, caller: Caller, mut request: Request) -> Result<Reply> {
    let role: Role = role.parse().map_err(|_| Error::NotFound("role"))?;
    let wanted = read(role, &mut request).await?;
    let reply = request
        .write(caller.id, Contended::Nothing, async |connection| {
            lock(connection).await?;
            let current = all(&mut *connection).await?.into_iter().find(|(known, _)| *known == role);
            request.expect_version(current.map_or(0, |(_, current)| current.version()))?;
            store(connection, role, wanted).await?;
            Ok(json(&Shown::new(role, wanted))?.with_version(wanted.version()))
        })
        .await?;
    // Postgres tells the other servers.
    request.app.cache.clear();
    Ok(reply)
}

async fn read(role: Role, request: &mut Request) -> Result<Permissions> {
    let (mut body, mut violations) = (request.object().await?, Violations::default());
    let names = fields::take::<Vec<String>>(&mut body, "permissions", &mut violations);
    if !names.is_present() && violations.is_empty() {
        violations.add("/permissions", "required", "is missing");
    }
    let names = names.value().unwrap_or_default();
    fields::refuse_unknown(&body, &mut violations);
    if violations.are_too_many("/permissions", names.len(), MOST_NAMES) {
        return violations.check().map(|()| Permissions::default());
    }
    for (at, _) in names.iter().enumerate().filter(|(_, name)| Permission::named(name).is_none()) {
        violations.add(format!("/permissions/{at}"), "unknown_value", format!("takes one of {}", known()));
    }
    let wanted = Permissions::named(&names);
    if violations.is_empty() {
        check_fixed(role, wanted, &mut violations);
    }
    violations.check().map(|()| wanted)
}

/// What no admin can change: without `read` a user could not even sign out, and `administer` is what admins are.
fn check_fixed(role: Role, wanted: Permissions, violations: &mut Violations) {
    if !wanted.contains(Read) {
        violations.add("/permissions", "required", "every role has the permission read");
    }
    match (role, wanted.contains(Administer)) {
        (Role::Admin, false) => violations.add("/permissions", "required", "admins have the permission administer"),
        (Role::Admin, true) | (_, false) => {}
        (_, true) => violations.add("/permissions", "not_acceptable", "only admins have the permission administer"),
    }
}

fn known() -> String {
    Permission::ALL.map(Permission::name).join(", ")
}

/// Reads what each role may do.
pub async fn all(db: impl PgExecutor<'_>) -> Result<Vec<(Role, Permissions)>> {
    let rows = sqlx::query!(r#"select role, array_agg(permission) as "permissions!" from permissions group by role"#);
    let rows = rows.fetch_all(db).await?;
    let of = |role: Role| {
        let row = rows.iter().find(|row| row.role == role.as_str());
        row.map_or(Permissions::default(), |row| Permissions::named(&row.permissions))
    };
    Ok(Role::ALL.map(|role| (role, of(role))).to_vec())
}

/// Makes replacements wait for each other: two at once leave one of them, not some of both.
async fn lock(connection: &mut PgConnection) -> sqlx::Result<()> {
    let lock = sqlx::query!("select pg_advisory_xact_lock(hashtextextended('permissions', 0))");
    lock.execute(connection).await.map(drop)
}

async fn store(connection: &mut PgConnection, role: Role, wanted: Permissions) -> Result<()> {
    let names: Vec<String> = wanted.names().into_iter().map(str::to_owned).collect();
    sqlx::query!("delete from permissions where role = $1 and permission <> all($2)", role.as_str(), &names)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        r#"
        insert into permissions (role, permission)
        select $1, permission
        from unnest($2::text[]) as permission
        on conflict do nothing
        "#,
        role.as_str(),
        &names,
    )
    .execute(connection)
    .await?;
    Ok(())
}
