//! The undo of a commit: created records are removed, changed ones are as before; what was changed since is kept.

use sqlx::PgConnection;
use uuid::Uuid;

use super::chunk::{lock_all, try_all};
use super::staged::{Done, Reversal};
use crate::api::Fields as _;
use crate::error::{Error, Result};
use crate::features::resource::{Patch, Resource as _};
use crate::imports::plan::Plan;
use crate::imports::store::Action;
use crate::imports::targets::Draft;
use crate::values::json::Value;

/// Takes back what rows did, row by row.
pub(super) async fn take_back<D: Draft>(connection: &mut PgConnection, plan: &Plan, rows: Vec<Done>) -> Result<Vec<Reversal>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.record_id).collect();
    let records = lock_all::<D::Record>(connection, &ids).await?;
    let mut reversals = Vec::new();
    for row in rows {
        let number = row.number;
        let reversed = match records.get(&row.record_id) {
            None => Err(Error::conflict("deleted_since", "the record was deleted since")),
            Some(record) if record.locked().version != row.record_version => {
                Err(Error::conflict("changed_since", "the record was changed since"))
            }
            Some(record) => try_all(connection, async |connection| reverse::<D>(connection, plan, record, row).await).await?,
        };
        let (status, reason) = match reversed {
            Ok(()) => ("reversed", None),
            Err(error @ (Error::Conflict { .. } | Error::Forbidden(_))) => ("kept", Some(error.to_string())),
            Err(error) => ("errored", Some(error.to_string())),
        };
        reversals.push(Reversal { number, status, reason });
    }
    Ok(reversals)
}

async fn reverse<D: Draft>(connection: &mut PgConnection, plan: &Plan, record: &D::Record, row: Done) -> Result<()> {
    let context = plan.context();
    if row.action == Action::Create {
        let companion = row.companion.map(|companion| companion.0);
        return D::remove(connection, record, companion.as_ref(), &context).await;
    }
    let before = row.before.and_then(|before| Value::into_object(before.0)).unwrap_or_default();
    let patch = Patch { members: D::restoring(before, record), is_replacement: false };
    D::Record::change(connection, record, patch, &context).await
}
