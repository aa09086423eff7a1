//! The kinds of jobs that imports are.

use serde::{Deserialize, Serialize};

use super::steps::{self, Cursor, Tally};
use super::task::Task;
use crate::error::{Error, Result};
use crate::jobs::{Chunk, Kind, Lane, Next};
use crate::values::ids::ImportId;

/// Finds out what a commit would do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Validate {
    pub import: ImportId,
}

/// Turns rows into records.
#[derive(Debug, Serialize, Deserialize)]
pub struct Commit {
    pub import: ImportId,
}

/// Takes back what a commit did.
#[derive(Debug, Serialize, Deserialize)]
pub struct Undo {
    pub import: ImportId,
}

impl Kind for Validate {
    const NAME: &'static str = "import_validate";
    const LANE: Lane = Lane::Bulk;
    type Cursor = Cursor;

    async fn run(&self, cursor: Cursor, chunk: &mut Chunk<'_>) -> Result<Next<Cursor>> {
        run(self.import, Task::Validate, cursor, chunk).await
    }
}

impl Kind for Commit {
    const NAME: &'static str = "import_commit";
    const LANE: Lane = Lane::Bulk;
    type Cursor = Cursor;

    async fn run(&self, cursor: Cursor, chunk: &mut Chunk<'_>) -> Result<Next<Cursor>> {
        run(self.import, Task::Commit, cursor, chunk).await
    }

    async fn retry(&self, items: &[String], chunk: &mut Chunk<'_>) -> Result<()> {
        let rows: Vec<i64> = items.iter().map(|item| item.parse()).collect::<Result<_, _>>().map_err(Error::internal)?;
        let tally = steps::retry(chunk.app, chunk.connection, self.import, &rows).await?;
        report(tally, chunk);
        Ok(())
    }
}

impl Kind for Undo {
    const NAME: &'static str = "import_undo";
    const LANE: Lane = Lane::Bulk;
    type Cursor = Cursor;

    async fn run(&self, cursor: Cursor, chunk: &mut Chunk<'_>) -> Result<Next<Cursor>> {
        run(self.import, Task::Undo, cursor, chunk).await
    }
}

async fn run(import: ImportId, task: Task, cursor: Cursor, chunk: &mut Chunk<'_>) -> Result<Next<Cursor>> {
    let (next, tally) = steps::step(chunk.app, chunk.connection, import, task, cursor).await?;
    report(tally, chunk);
    Ok(next)
}

fn report(tally: Tally, chunk: &mut Chunk<'_>) {
    if let Some(total) = tally.total {
        chunk.expect(total);
    }
    chunk.succeed(tally.succeeded);
    for (item, error) in tally.failed {
        chunk.fail(item, &error);
    }
}
