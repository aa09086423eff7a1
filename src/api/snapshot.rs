//! One read by id: one snapshot, so that a record and what belongs to it are of the same moment.

use sqlx::{Postgres, Transaction};

use super::Request;
use crate::error::Result;

impl Request {
    /// Opens a snapshot of the database that cannot change anything.
    ///
    /// # Errors
    /// The database's.
    pub async fn snapshot(&self) -> Result<Transaction<'static, Postgres>> {
        Ok(self.app.db.server.begin_with("begin isolation level repeatable read read only").await?)
    }
}
