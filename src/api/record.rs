//! Reads from Postgres: one record by id, or several statements of one snapshot.

use sqlx::{PgConnection, Postgres, Transaction};

use super::paging::READ_SOURCE;
use super::{Reply, Request};
use crate::error::{Error, Result};

/// A record as a client sees it.
pub struct Record {
    pub reply: Reply,
    /// A deleted record is shown only to a client that asks for deleted ones.
    pub is_deleted: bool,
}

impl Request {
    /// Answers with the record that `read` finds in one statement; there is no transaction. `name` is what a 404 says is missing.
    ///
    /// Postgres is the truth, so the answer satisfies any sync token.
    pub async fn record(
        &self,
        name: &'static str,
        read: impl AsyncFnOnce(&mut PgConnection) -> Result<Option<Record>>,
    ) -> Result<Reply> {
        let includes_deleted = self.includes_deleted()?;
        let record = read(&mut *self.app.db.read.acquire().await?).await?;
        let record = record.filter(|record| !record.is_deleted || includes_deleted);
        Ok(record.ok_or(Error::NotFound(name))?.reply.with(READ_SOURCE, "postgres"))
    }

    /// Begins a read-only transaction, for a read that needs several statements of one moment.
    pub async fn snapshot(&self) -> Result<Transaction<'static, Postgres>> {
        Ok(self.app.db.server.begin_with("begin isolation level repeatable read read only").await?)
    }
}
