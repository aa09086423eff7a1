//! One read by id, from what this process remembers or from Postgres.

use std::sync::Arc;

use hyper::header::{ETAG, HeaderName};
use sqlx::PgConnection;

use super::paging::READ_SOURCE;
use super::{Reply, Request};
use crate::error::Result;
use crate::feed::{Door, Found, Row, Subject};

const CACHE: HeaderName = HeaderName::from_static("x-cache");

/// A row as it is shown.
pub struct Shown {
    /// The answer, about every row of which it shows something.
    pub reply: Reply,
    /// Whether it is shown to those only who ask for deleted rows too.
    pub is_deleted: bool,
}

impl Request {
    /// Answers with a row: `read` gets one snapshot, so that a record and what belongs to it are of the same moment. None if there
    /// is no such row, or a deleted one that was not asked for.
    ///
    /// A remembered row is served while changes are heard of, and only if that includes what the request's sync token stands for.
    ///
    /// # Errors
    /// A sync token that cannot be read, and those of `read`.
    pub async fn row(
        &self,
        subject: Subject,
        read: impl AsyncFnOnce(&mut PgConnection) -> Result<Option<Shown>>,
    ) -> Result<Option<Reply>> {
        let feed = &self.app.feed;
        let seen = self.sync_token()?;
        let day = self.app.clock.today();
        let is_fresh = seen.is_none_or(|seen| seen <= feed.reached());
        let found = match feed.is_live() {
            true => feed.rows.find(subject, |row| is_fresh && row.day == day).await,
            false => Found::Nothing,
        };
        let (door, cache) = match found {
            Found::Row(row) => {
                let is_asked_for = !row.is_deleted || self.includes_deleted()?;
                return Ok(is_asked_for.then(|| Reply::kept(&row).with(READ_SOURCE, "cache").with(CACHE, "hit")));
            }
            Found::Door(door) => (Some(door), "miss"),
            Found::Nothing => (None, "bypass"),
        };
        let mut snapshot = self.snapshot().await?;
        let Some(Shown { mut reply, is_deleted }) = read(&mut snapshot).await? else { return Ok(None) };
        if let Some(door) = door {
            remember(door, &mut reply, is_deleted, day);
        }
        let is_asked_for = !is_deleted || self.includes_deleted()?;
        Ok(is_asked_for.then(|| reply.with(READ_SOURCE, "postgres").with(CACHE, cache)))
    }
}

fn remember(door: Door<'_>, reply: &mut Reply, is_deleted: bool, day: chrono::NaiveDate) {
    let tag = reply.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
    let row = Row { body: reply.body.clone().into(), tag, is_deleted, day };
    door.fill(Arc::new(row), std::mem::take(&mut reply.about));
}
