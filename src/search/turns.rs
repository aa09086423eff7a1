//! Turns: an engine works on a few searches of one caller at a time, so that no caller takes all that it can work on.
//!
//! A phrase or a facet costs an engine many times what filters cost, so it takes more of a caller's turns.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::query::Query;
use crate::error::{Error, Result};
use crate::values::ids::UserId;

/// Phrases of one caller that an engine works on at a time, if it works on nothing else of the caller.
const PHRASES: u32 = 2;

#[derive(Debug)]
pub(super) struct Turns {
    /// Most searches of one caller at a time; a phrase counts as several.
    limit: u32,
    /// Longest wait of a further one.
    patience: Duration,
    /// The callers that have searches under way.
    callers: Mutex<HashMap<Option<UserId>, Weak<Semaphore>>>,
}

impl Turns {
    pub(super) fn new(limit: u32, patience: Duration) -> Self {
        Self { limit, patience, callers: Mutex::default() }
    }

    /// Waits for the caller's turn, which ends when the permit is dropped. Callers without a name count as one.
    ///
    /// # Errors
    /// Too few of the caller's searches ended in time.
    pub(super) async fn take(&self, caller: Option<UserId>, query: &Query) -> Result<OwnedSemaphorePermit> {
        let turns = if query.phrase.is_some() || !query.aggregates.is_empty() { self.limit / PHRASES } else { 1 };
        match timeout(self.patience, self.of(caller).acquire_many_owned(turns)).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Error::Unavailable {
                code: "too_many_searches",
                detail: "too many of your searches are under way; send the next one when the last is answered".into(),
                retry_after: 1,
            }),
        }
    }

    fn of(&self, caller: Option<UserId>) -> Arc<Semaphore> {
        let mut callers = self.callers.lock();
        if let Some(turns) = callers.get(&caller).and_then(Weak::upgrade) {
            return turns;
        }
        callers.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(self.limit as usize));
        callers.insert(caller, Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;
    use crate::search::aggregate::Aggregates;
    use crate::search::query::{Count, Page};
    use crate::search::{Filter, Phrase};

    fn user(number: u128) -> Option<UserId> {
        Some(UserId(Uuid::from_u128(number)))
    }

    fn query(typed: &str) -> Query {
        let phrase = Phrase::new(typed, "US").unwrap();
        let (filter, sort, page) = (Filter::All(vec![]), vec![], Page::Number(1));
        Query { filter, phrase, sort, page, limit: 10, count: Count::None, aggregates: Aggregates::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_waits_for_its_own_searches_only() {
        let (turns, list) = (Turns::new(2, Duration::from_secs(1)), query(""));
        let first = turns.take(user(1), &list).await.unwrap();
        let _second = turns.take(user(1), &list).await.unwrap();
        assert!(turns.take(user(1), &list).now_or_never().is_none());
        assert!(turns.take(user(2), &list).now_or_never().is_some());

        assert_eq!(turns.take(user(1), &list).await.unwrap_err().code(), "too_many_searches");
        let (third, ()) = tokio::join!(turns.take(user(1), &list), async { drop(first) });
        assert!(third.is_ok());
    }

    #[tokio::test]
    async fn two_phrases_take_all_turns_of_a_caller() {
        let turns = Turns::new(8, Duration::from_secs(1));
        let phrases = [turns.take(user(1), &query("ada")).await, turns.take(user(1), &query("ada")).await];
        assert!(phrases.iter().all(Result::is_ok));
        assert!(turns.take(user(1), &query("")).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_caller_without_searches_is_forgotten() {
        let turns = Turns::new(2, Duration::from_secs(1));
        for number in 0..100 {
            assert!(turns.take(user(number), &query("")).await.is_ok());
        }
        assert_eq!(turns.callers.lock().len(), 1);
    }
}
