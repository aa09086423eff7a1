//! Rows read by id, remembered as they are shown until something that they show changes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::NaiveDate;
use quick_cache::sync::{Cache, DefaultLifecycle, EntryAction, EntryResult, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, Weighter};
use tokio::time::timeout;
use uuid::Uuid;

use super::stamps::{Moment, Stamps};

/// A row: its collection or table, and its id.
pub type Subject = (&'static str, Uuid);

/// Longest wait for another reader of the same row; then this one reads beside it and remembers nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// Taken for the average size, to choose the size of the tables.
const USUAL_SIZE: u64 = 2_048;
/// What a remembered row takes beside its body.
const OVERHEAD: usize = 256;

/// A row as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The JSON.
    pub body: Bytes,
    /// Its ETag.
    pub tag: String,
    /// Whether it is marked as deleted, and shown to those only who ask for that.
    pub is_deleted: bool,
    /// The day on which it was shown; some members count days.
    pub day: NaiveDate,
}

/// Rows read by id, least used forgotten first.
///
/// Readers of one row come one after the other: the second finds what the first has read. So what readers of this process see of
/// a row never goes back, however slow one of them is.
pub struct Rows {
    stamps: Stamps,
    kept: Option<Kept>,
}

type Kept = Cache<Subject, Arc<Remembered>, Weight>;

struct Remembered {
    row: Arc<Row>,
    /// Before the read began.
    since: Moment,
    /// Every row of which something is shown.
    shows: Vec<Subject>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Subject, Arc<Remembered>> for Weight {
    fn weight(&self, _: &Subject, remembered: &Arc<Remembered>) -> u64 {
        let shows = remembered.shows.len() * size_of::<Subject>();
        (OVERHEAD + remembered.row.body.len() + remembered.row.tag.len() + shows) as u64
    }
}

/// What is remembered of a row.
pub enum Found<'a> {
    /// The row as it is.
    Row(Arc<Row>),
    /// Nothing that is good. The caller reads; others who want the same row wait for it.
    Door(Door<'a>),
    /// Nothing, and nothing is to be remembered.
    Nothing,
}

/// The turn to read a row. Dropped without a row, the next reader has its turn.
pub struct Door<'a> {
    guard: PlaceholderGuard<'a, Subject, Arc<Remembered>, Weight, DefaultHashBuilder, DefaultLifecycle<Subject, Arc<Remembered>>>,
    since: Moment,
}

impl Rows {
    pub(super) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / USUAL_SIZE).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        let kept = (bytes > 0).then(|| Cache::with_weighter(items, bytes, Weight));
        Self { stamps: Stamps::default(), kept }
    }

    /// Finds what is remembered of a row, if it is good and `suits`; otherwise gives the turn to read it.
    pub async fn find(&self, subject: Subject, suits: impl FnOnce(&Row) -> bool) -> Found<'_> {
        let Some(kept) = &self.kept else { return Found::Nothing };
        let check = |_: &Subject, remembered: &mut Arc<Remembered>| {
            let shows = remembered.shows.iter().copied();
            if suits(&remembered.row) && self.stamps.is_good(remembered.since, shows) {
                EntryAction::Retain(Arc::clone(&remembered.row))
            } else {
                EntryAction::ReplaceWithGuard
            }
        };
        match timeout(PATIENCE, kept.entry_async(&subject, check)).await {
            Ok(EntryResult::Retained(row)) => Found::Row(row),
            Ok(EntryResult::Replaced(guard, _) | EntryResult::Vacant(guard)) => {
                Found::Door(Door { guard, since: self.stamps.now() })
            }
            Ok(EntryResult::Removed(..) | EntryResult::Timeout) | Err(_) => Found::Nothing,
        }
    }

    /// Hears that a row has changed: everybody who reads it from now on sees that.
    pub fn changed(&self, collection: &str, id: Uuid) {
        self.stamps.changed(collection, id);
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        // What is there makes room when it is asked for, or when others need it.
        self.stamps.forget_all();
    }

    /// The memory that is taken, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.kept.as_ref().map_or(0, Cache::weight)
    }
}

impl Door<'_> {
    /// Remembers what was read after the door was opened, with every row of which it shows something.
    pub fn fill(self, row: Arc<Row>, shows: Vec<Subject>) {
        // Refused only if the place was given to others meanwhile.
        self.guard.insert(Arc::new(Remembered { row, since: self.since, shows })).ok();
    }
}
