//! Bulk changes: one request changes many records, each by the rules of a request of its own.
//!
//! A hundred records are changed at once, and the answer has one result for each. More are the work of a job, whose chunks do the
//! same. What is refused of one record is its result, and stops no other.

mod answer;
mod apply;
mod body;
mod job;

use sqlx::PgConnection;

use super::{Patch, Resource};
use crate::api::{Contended, Context, Reply, Request, fields, json};
use crate::auth::{self, Caller};
use crate::error::{Result, Violations};
use crate::values::json::Object;

pub use answer::{Begun, BulkChanged};
pub use job::ChangeMany;

use apply::{Work, apply};
use body::Body;

/// Records that are changed while the client waits.
pub(super) const MOST_AT_ONCE: usize = 100;

/// Records that a body can list. A filter selects more.
pub(super) const MOST_LISTED: usize = 10_000;

/// Records that a filter can select: each is a row to lock and an entry of the audit log.
pub(super) const MOST_SELECTED: u32 = 1_000_000;

/// Records of one chunk of a job, which locks them for as long as it takes.
const CHUNK: usize = 500;

/// A resource that can be changed in bulk: what differs from one to the other.
pub trait Bulk: Resource + PartialEq {
    /// The name of its kind of job, which stays.
    const JOB: &'static str;

    /// Checks what can be known of changes before a record is read: names and types.
    fn check(mut changes: Object, context: &Context<'_>, violations: &mut Violations) {
        fields::apply(&mut Self::default(), &mut changes, violations);
        fields::refuse_rest::<Self>(&changes, context.is_strict, violations);
    }

    /// Holds what comes before the records in the order of locks; see [`crate::db::rows`].
    fn hold_parents(_connection: &mut PgConnection, _changes: &[&Object]) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Locks what comes behind the locked records in that order, and changes with them.
    fn lock_neighbours(
        _connection: &mut PgConnection,
        _records: &[Self],
        _changes: &[&Object],
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Applies a request to a record if nothing follows but an update of its row, which is then written with those of others; none if
    /// it takes [`Resource::change`].
    fn changed_row(_before: &Self, _patch: Patch, _context: &Context<'_>) -> Result<Option<Self>> {
        Ok(None)
    }
}

/// Changes many records: those that are listed, or those that a filter selects.
pub async fn change_many<R: Bulk>(caller: Caller, mut request: Request) -> Result<Reply> {
    auth::count_bulk(&request, &caller).await?;
    let body = request.object_of_many().await?;
    let context = Context::of(&request.app, caller.id, caller.authority());
    let Body { chosen, set } = Body::read::<R>(body, &request, &context)?;
    let work = Work { set: &set, context, disclosure: caller.disclosure() };
    request
        .write(caller.id, Contended::Nothing, async |connection| {
            let targets = chosen.targets::<R>(connection).await?;
            if targets.len() > MOST_AT_ONCE || request.prefers_async() {
                let begun = job::begin::<R>(connection, &caller, &set, &targets).await?;
                return request.accepted(begun.job_id, &begun);
            }
            let outcomes = apply::<R>(connection, &work, &targets).await?;
            json(&BulkChanged::new(&targets, outcomes))
        })
        .await
}
