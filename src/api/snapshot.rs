//! One read by id: one snapshot, so that a record and what belongs to it are of the same moment.

use sqlx::{Postgres, Transaction};

use super::{Context, Request};
use crate::error::{Error, Result};
use crate::search::parse::flag;
use crate::search::parse::pairs::pairs;
use crate::values::ids::UserId;

impl Request {
    /// Opens a snapshot of the database that cannot change anything.
    ///
    /// # Errors
    /// The database's.
    pub async fn snapshot(&self) -> Result<Transaction<'static, Postgres>> {
        Ok(self.app.db.server.begin_with("begin isolation level repeatable read read only").await?)
    }

    /// Whether the client asks for deleted records too.
    ///
    /// # Errors
    /// Neither true nor false.
    pub fn includes_deleted(&self) -> Result<bool> {
        self.flag("includeDeleted")
    }

    /// Reads a parameter that is true or false; absent is false.
    ///
    /// # Errors
    /// Neither true nor false.
    pub fn flag(&self, name: &str) -> Result<bool> {
        let Some((_, value)) = pairs(&self.query).find(|(other, _)| other == name) else { return Ok(false) };
        flag(&value).map_err(|message| Error::malformed("bad_parameter", format!("{name}: {message}")))
    }

    /// What the rules of a write depend on.
    #[must_use]
    pub fn context(&self, by: UserId) -> Context<'_> {
        let config = &self.app.config;
        Context {
            by: Some(by),
            now: self.app.clock.now(),
            currency: config.default_currency,
            region: &config.default_region,
            payment_max: config.writes.payment_max,
            is_strict: self.is_canonical(),
        }
    }
}
