//! Who may see, make and change which users.

use sqlx::{PgConnection, PgExecutor};

use super::user::User;
use super::{roles, store};
use crate::api::Request;
use crate::auth::Permission::Administer;
use crate::auth::{Caller, Role};
use crate::error::{Error, Result};
use crate::values::ids::UserId;

pub(super) const NAME: &str = "user";

/// The roles whose users a caller sees and changes, and which the caller gives. Those without `administer` manage agents and viewers,
/// as long as these may do nothing that the caller may not: else a new password would be a way to more rights.
pub(super) async fn managed_roles(db: impl PgExecutor<'_>, caller: &Caller) -> Result<Vec<Role>> {
    if caller.has(Administer) {
        return Ok(Role::ALL.to_vec());
    }
    let all = roles::all(db).await?.into_iter();
    let managed = all.filter(|(role, may)| matches!(role, Role::Viewer | Role::Agent) && caller.permissions.includes(*may));
    Ok(managed.map(|(role, _)| role).collect())
}

/// Refuses a role that the caller does not give.
pub(super) fn check_gives(managed: &[Role], role: Role) -> Result<()> {
    if managed.contains(&role) { Ok(()) } else { Err(Error::Forbidden(Administer.name())) }
}

/// Hides a user whom the caller may not know of.
pub(super) fn visible(user: Option<User>, managed: &[Role]) -> Result<User> {
    user.filter(|user| managed.contains(&user.role)).ok_or(Error::NotFound(NAME))
}

/// Locks a user whom the caller may change, in the version that the request expects.
pub(super) async fn changeable(connection: &mut PgConnection, id: UserId, caller: &Caller, request: &Request) -> Result<User> {
    let managed = managed_roles(&mut *connection, caller).await?;
    let user = visible(store::lock(connection, id).await?, &managed)?;
    request.expect_version(user.version)?;
    Ok(user)
}

/// Writes a change of a locked user.
pub(super) async fn change(connection: &mut PgConnection, before: &User, after: &User, caller: &Caller) -> Result<()> {
    if before.role != after.role {
        check_gives(&managed_roles(&mut *connection, caller).await?, after.role)?;
    }
    if before.role != after.role || !after.is_active {
        check_is_other(before, caller)?;
    }
    store::update(connection, after, caller.id).await
}

/// Refuses what users cannot do to themselves: an admin who did it by mistake, or whose session was stolen, would be locked out.
pub(super) fn check_is_other(user: &User, caller: &Caller) -> Result<()> {
    if user.id != caller.id.0 {
        return Ok(());
    }
    Err(Error::conflict("own_user", "this cannot be done to one's own user; another admin can"))
}
