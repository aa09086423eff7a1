//! One chunk of a job: its transaction, and what it reports.

use sqlx::PgConnection;

use crate::app::App;
use crate::error::Error;
use crate::values::ids::{JobId, UserId};

/// What a kind works with. What it reports is stored when the chunk commits, and forgotten if it fails.
pub struct Chunk<'a> {
    pub app: &'a App,
    /// In the transaction of the chunk; the kind neither commits nor rolls it back.
    pub connection: &'a mut PgConnection,
    pub job: JobId,
    /// Who enqueued the job; none for a schedule.
    pub by: Option<UserId>,
    pub(super) report: Report,
}

/// What follows a chunk.
#[derive(Debug)]
pub enum Next<C> {
    Chunk(C),
    Finished,
}

/// What a chunk reports.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) total: Option<i64>,
    pub(super) succeeded: i64,
    pub(super) failures: Vec<Failure>,
    pub(super) result_url: Option<String>,
}

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) item: String,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Chunk<'_> {
    /// States how many items the job has in all.
    pub fn expect(&mut self, total: i64) {
        self.report.total = Some(total);
    }

    /// Counts items that succeeded. When items are tried again they are counted for the kind.
    pub fn succeed(&mut self, items: i64) {
        self.report.succeeded += items;
    }

    /// Counts rows that were removed, at most `batch` of them: if it were so many, there are more.
    pub fn removed(&mut self, rows: u64, batch: i64) -> Next<()> {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        self.succeed(rows);
        if rows < batch { Next::Finished } else { Next::Chunk(()) }
    }

    /// Reports an item that failed; an item is reported once. Its effects have to be rolled back to a savepoint.
    pub fn fail(&mut self, item: impl Into<String>, error: &Error) {
        self.report.failures.push(Failure { item: item.into(), code: error.code(), message: error.to_string() });
    }

    /// Where the result of the job can be had.
    pub fn offer(&mut self, url: impl Into<String>) {
        self.report.result_url = Some(url.into());
    }
}
