//! The job of a bulk change: a chunk changes five hundred records.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::apply::{Outcome, Work, apply};
use super::body::Target;
use super::{Begun, Bulk, CHUNK};
use crate::api::Context;
use crate::auth::{Caller, Permission, Permissions, credentials};
use crate::error::{Error, Result};
use crate::jobs::{self, Chunk, Kind, Lane, Next, Terms, parts};
use crate::values::json::Object;

/// Changes the records of its parts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ChangeMany<R> {
    /// What all of them are changed to: JSON as a text, which keeps the digits of its numbers. Empty if each has its own.
    set: String,
    /// What the caller might do; the job may do no more, and no more than its user may when it runs.
    permissions: Vec<String>,
    #[serde(skip)]
    of: PhantomData<fn() -> R>,
}

/// Enqueues the job with its records.
pub(super) async fn begin<R: Bulk>(
    connection: &mut PgConnection,
    caller: &Caller,
    set: &Object,
    targets: &[Target],
) -> Result<Begun> {
    let set = if set.is_empty() { String::new() } else { serde_json::to_string(set).map_err(Error::internal)? };
    let permissions = caller.permissions.names().into_iter().map(str::to_owned).collect();
    let job = ChangeMany::<R> { set, permissions, of: PhantomData };
    let total = targets.len();
    let terms = Terms::default().by(caller.id).of(i64::try_from(total).map_err(Error::internal)?);
    let job_id = jobs::enqueue(connection, &job, terms).await?.id();
    parts::store(connection, job_id, targets.chunks(CHUNK)).await?;
    Ok(Begun { job_id, total })
}

impl<R: Bulk> Kind for ChangeMany<R> {
    const NAME: &'static str = R::JOB;
    const LANE: Lane = Lane::Bulk;
    /// The number of the part.
    type Cursor = i32;

    async fn run(&self, number: i32, chunk: &mut Chunk<'_>) -> Result<Next<i32>> {
        let Some(part) = parts::read(chunk.connection, chunk.job, number).await? else { return Ok(Next::Finished) };
        let targets: Vec<Target> = serde_json::from_str(&part).map_err(Error::internal)?;
        let done = self.change(&targets, chunk).await?;
        chunk.succeed(done);
        Ok(Next::Chunk(number + 1))
    }

    async fn retry(&self, items: &[String], chunk: &mut Chunk<'_>) -> Result<()> {
        let targets: Vec<Target> = if self.set.is_empty() {
            let found = parts::find(chunk.connection, chunk.job, items).await?;
            found.iter().map(|target| serde_json::from_str(target)).collect::<Result<_, _>>().map_err(Error::internal)?
        } else {
            let target = |id: &String| Ok(Target { id: id.parse().map_err(Error::internal)?, version: None, set: None });
            items.iter().map(target).collect::<Result<_>>()?
        };
        self.change(&targets, chunk).await.map(drop)
    }
}

impl<R: Bulk> ChangeMany<R> {
    /// Changes records and reports those that fail; answers how many succeed.
    ///
    /// # Errors
    /// The user may not do it any more, which ends the job.
    async fn change(&self, targets: &[Target], chunk: &mut Chunk<'_>) -> Result<i64> {
        let by = chunk.by.ok_or_else(|| Error::internal("a bulk change has a user"))?;
        let now = credentials::permissions_of(&mut *chunk.connection, by).await?;
        let permissions = now.intersection(Permissions::named(&self.permissions));
        permissions.require(Permission::Edit)?;
        let set: Object = match self.set.as_str() {
            "" => Object::new(),
            set => serde_json::from_str(set).map_err(Error::internal)?,
        };
        let context = Context::of(chunk.app, by, permissions.authority());
        let work = Work { set: &set, context, disclosure: permissions.disclosure() };
        let outcomes = apply::<R>(&mut *chunk.connection, &work, targets).await?;
        let mut succeeded = 0;
        for (target, outcome) in targets.iter().zip(outcomes) {
            match outcome {
                Outcome::Failed(error) => chunk.fail(target.id.to_string(), &error),
                Outcome::Updated | Outcome::Unchanged => succeeded += 1,
            }
        }
        Ok(succeeded)
    }
}
