//! What callers of connections that stay open may do now: a request is checked when it comes, a socket lives for hours.

use std::collections::HashMap;

use uuid::Uuid;

use crate::app::App;
use crate::auth::access::{Caller, Credential};
use crate::auth::{Permissions, Role};
use crate::error::{Error, Result};

/// Reads again what each caller may do; none for one whose token, session or key has ended, or who is disabled. Two statements,
/// however many there are.
pub async fn recheck(app: &App, callers: &[Caller]) -> Result<Vec<Option<Caller>>> {
    let now = app.clock.now();
    let id = |caller: &Caller| match caller.credential {
        Credential::Session { id, until } => (until > now).then_some(id.0),
        Credential::ApiKey(id) => Some(id.0),
    };
    let ids: Vec<Uuid> = callers.iter().filter_map(id).collect();
    let found = sqlx::query!(
        r#"
        select s.id as "id!", u.role as "role!", null::text[] as scopes
        from sessions s
        join users u on u.id = s.user_id
        where s.id = any($1)
          and s.revoked_at is null
          and s.expires_at > $2
          and u.disabled_at is null
        union all
        select k.id, u.role, k.scopes
        from api_keys k
        join users u on u.id = k.owner_id
        where k.id = any($1)
          and (k.expires_at is null or k.expires_at > $2)
          and u.disabled_at is null
        "#,
        &ids,
        now,
    );
    let found = found.fetch_all(&app.db.read).await?;
    let granted = sqlx::query!(r#"select role, array_agg(permission) as "permissions!" from permissions group by role"#);
    let granted = granted.fetch_all(&app.db.read).await?;
    let of_role: HashMap<String, Permissions> =
        granted.into_iter().map(|row| (row.role, Permissions::named(&row.permissions))).collect();
    let mut current: HashMap<Uuid, (Role, Permissions)> = HashMap::with_capacity(found.len());
    for row in found {
        let role: Role = row.role.parse().map_err(|error: &str| Error::internal(error))?;
        let permissions = of_role.get(&row.role).copied().unwrap_or_default();
        let scoped = row.scopes.map_or(permissions, |scopes: Vec<String>| permissions.intersection(Permissions::named(&scopes)));
        current.insert(row.id, (role, scoped));
    }
    let renewed = |caller: &Caller| {
        let (role, permissions) = *current.get(&id(caller)?)?;
        Some(Caller { role, permissions, ..caller.clone() })
    };
    Ok(callers.iter().map(renewed).collect())
}
