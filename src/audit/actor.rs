//! Who a transaction works for, which the triggers of the log read.

use sqlx::AssertSqlSafe;

use crate::values::ids::UserId;

/// The statement that begins a transaction of a request or a job; `origin` is its id, which the entries repeat.
pub fn begin(actor: Option<UserId>, origin: &str) -> AssertSqlSafe<String> {
    let actor = actor.map(|actor| format!("; set local collections.actor = '{actor}'")).unwrap_or_default();
    AssertSqlSafe(format!("begin{actor}; set local collections.request = '{origin}'"))
}
