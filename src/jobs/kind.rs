//! Kinds of jobs, and the list of those that a worker knows.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use super::chunk::{Chunk, Next};
use super::job::Lane;
use crate::error::{Error, Result};

/// A kind of background work. The struct holds the arguments of one job.
///
/// An error of the server (status 500 and above) is tried again later, any other ends the job at once. Its text is shown to clients.
pub trait Kind: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name in Postgres: stays when the struct is renamed.
    const NAME: &'static str;
    const LANE: Lane;
    /// Attempts of a chunk before the job fails.
    const ATTEMPTS: u32 = 8;

    /// Where a chunk begins; the default is the beginning.
    type Cursor: Serialize + DeserializeOwned + Default + Send;

    /// Does one chunk in its transaction: seconds of work, since a job is paused, cancelled and handed over between chunks.
    fn run(&self, cursor: Self::Cursor, chunk: &mut Chunk<'_>) -> impl Future<Output = Result<Next<Self::Cursor>>> + Send;

    /// Tries failed items again in one transaction. Those that it does not report as failed have succeeded.
    ///
    /// Kinds that report failed items have to implement it.
    fn retry(&self, _items: &[String], _chunk: &mut Chunk<'_>) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Err(Error::conflict("not_retryable", "items of this kind cannot be tried again")))
    }
}

/// What a worker does of one job in one transaction.
pub(super) enum Work<'a> {
    Run { cursor: Option<&'a Value> },
    Retry { items: &'a [String] },
}

/// A kind without its types.
trait AnyKind: Send + Sync {
    /// Does one chunk; answers the cursor of the next one.
    fn work<'a>(&'a self, arguments: &'a Value, work: Work<'a>, chunk: &'a mut Chunk<'_>) -> BoxFuture<'a, Result<Next<Value>>>;
}

struct Typed<K>(PhantomData<fn() -> K>);

impl<K: Kind> AnyKind for Typed<K> {
    fn work<'a>(&'a self, arguments: &'a Value, work: Work<'a>, chunk: &'a mut Chunk<'_>) -> BoxFuture<'a, Result<Next<Value>>> {
        async move {
            let kind = K::deserialize(arguments).map_err(Error::internal)?;
            match work {
                Work::Run { cursor } => {
                    let cursor = cursor.map(K::Cursor::deserialize).transpose().map_err(Error::internal)?;
                    Ok(match kind.run(cursor.unwrap_or_default(), chunk).await? {
                        Next::Chunk(cursor) => Next::Chunk(serde_json::to_value(cursor).map_err(Error::internal)?),
                        Next::Finished => Next::Finished,
                    })
                }
                Work::Retry { items: [] } => Ok(Next::Finished),
                Work::Retry { items } => {
                    kind.retry(items, chunk).await?;
                    Ok(Next::Chunk(Value::Null))
                }
            }
        }
        .boxed()
    }
}

/// The kinds that a worker knows. It leaves jobs of other kinds to workers of another version.
#[derive(Default)]
pub struct Kinds(BTreeMap<&'static str, Entry>);

struct Entry {
    lane: Lane,
    attempts: u32,
    kind: Box<dyn AnyKind>,
}

impl Kinds {
    #[must_use]
    pub fn with<K: Kind>(mut self) -> Self {
        let entry = Entry { lane: K::LANE, attempts: K::ATTEMPTS, kind: Box::new(Typed::<K>(PhantomData)) };
        self.0.insert(K::NAME, entry);
        self
    }

    pub(super) fn names_in(&self, lane: Lane) -> Vec<String> {
        self.0.iter().filter(|(_, entry)| entry.lane == lane).map(|(name, _)| (*name).to_owned()).collect()
    }

    pub(super) fn attempts(&self, name: &str) -> u32 {
        self.0.get(name).map_or(0, |entry| entry.attempts)
    }

    pub(super) async fn work(&self, name: &str, arguments: &Value, work: Work<'_>, chunk: &mut Chunk<'_>) -> Result<Next<Value>> {
        let entry = self.0.get(name).ok_or_else(|| Error::internal("a worker takes jobs of its kinds only"))?;
        entry.kind.work(arguments, work, chunk).await
    }
}
