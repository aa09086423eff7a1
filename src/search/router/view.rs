//! Frozen views: lists as of one moment. Elasticsearch holds each as a point in time while a client walks it, and the cursor names it,
//! so that any server goes on with it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::serde::ts_milliseconds;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::values::ids::{self, UserId};

/// Views of one caller, and of all callers, that a server keeps open. Each keeps on the disk of Elasticsearch what has changed since.
const VIEWS_OF_CALLER: usize = 2;
const VIEWS: usize = 16;

/// A view as the cursor has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(rename = "n")]
    pub(super) name: Uuid,
    /// The id of the point in time; each answer may have another one.
    #[serde(rename = "p")]
    pub(super) point: String,
    /// It shows every change that was committed before.
    #[serde(rename = "t", with = "ts_milliseconds")]
    pub(super) indexed_at: DateTime<Utc>,
    /// How old the index was when the view was opened, in milliseconds.
    #[serde(rename = "l")]
    pub(super) lag: u64,
    /// When its last page was read.
    #[serde(rename = "u", with = "ts_milliseconds")]
    pub(super) read_at: DateTime<Utc>,
}

/// The views that this server has read a page of and that have not ended.
#[derive(Debug)]
pub(super) struct Views {
    /// Longest time between two pages.
    pub(super) keep_alive: Duration,
    open: Mutex<HashMap<Uuid, Open>>,
}

#[derive(Debug)]
struct Open {
    caller: Option<UserId>,
    until: Instant,
}

impl View {
    /// Whether its next page comes too late.
    pub(super) fn is_expired(&self, now: DateTime<Utc>, keep_alive: Duration) -> bool {
        (now - self.read_at).to_std().is_ok_and(|pause| pause > keep_alive)
    }
}

impl Views {
    pub(super) fn new(keep_alive: Duration) -> Self {
        Self { keep_alive, open: Mutex::default() }
    }

    /// Names a new view of a caller, unless there are too many.
    pub(super) fn begin(&self, caller: Option<UserId>) -> Result<Uuid> {
        let (mut open, now) = (self.open.lock(), Instant::now());
        open.retain(|_, view| view.until > now);
        let own = open.values().filter(|view| view.caller == caller).count();
        if own >= VIEWS_OF_CALLER || open.len() >= VIEWS {
            return Err(Error::Unavailable {
                code: "too_many_views",
                detail: format!(
                    "{own} frozen views of yours are open, {} in all; walk one to its end or let it expire",
                    open.len()
                ),
                retry_after: self.keep_alive.as_secs(),
            });
        }
        let name = ids::new();
        open.insert(name, Open { caller, until: now + self.keep_alive });
        Ok(name)
    }

    /// Counts a view as open after one more page, also one that another server began.
    pub(super) fn extend(&self, name: Uuid, caller: Option<UserId>) {
        self.open.lock().insert(name, Open { caller, until: Instant::now() + self.keep_alive });
    }

    pub(super) fn end(&self, name: Uuid) {
        self.open.lock().remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u128) -> Option<UserId> {
        Some(UserId(Uuid::from_u128(number)))
    }

    #[test]
    fn views_are_few_until_they_end() {
        let views = Views::new(Duration::from_secs(60));
        let first = views.begin(user(1)).unwrap();
        views.begin(user(1)).unwrap();
        assert_eq!(views.begin(user(1)).unwrap_err().code(), "too_many_views");
        views.end(first);
        views.begin(user(1)).unwrap();
        for number in 2..16 {
            views.begin(user(number)).unwrap();
        }
        assert_eq!(views.begin(user(99)).unwrap_err().retry_after(), Some(60));
    }

    #[test]
    fn views_that_expired_count_no_more() {
        let views = Views::new(Duration::ZERO);
        for _ in 0..100 {
            views.begin(user(1)).unwrap();
        }
        assert_eq!(views.open.lock().len(), 1);
    }

    #[test]
    fn a_view_expires_after_a_pause() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let view = View { name: Uuid::nil(), point: String::new(), indexed_at: at(0), lag: 0, read_at: at(100) };
        let is_expired = |seconds| view.is_expired(at(seconds), Duration::from_secs(60));
        // Another server's clock may be behind.
        assert_eq!([99, 160, 161].map(is_expired), [false, false, true]);
    }
}
