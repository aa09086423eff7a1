//! Turns: few transactions at a time for one record, so that waiting for its row does not hold the connections that others need.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

/// Transactions of one record at once: while one works, the next waits at the row, so that the row is never idle.
const AT_ONCE: usize = 2;

/// Requests that may wait for their turn at one record; with more, the last would wait in vain.
const WAITING: usize = 64;

/// The turns at all records that this process writes to now.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<HashMap<Uuid, Queue>>>);

#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    /// Those that have a turn and those that wait for one.
    entered: usize,
}

/// A turn at one record; the next one begins when this value is dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
    _entry: Entry,
}

#[derive(Debug)]
struct Entry {
    turns: Turns,
    record: Uuid,
}

impl Turns {
    /// Waits for a turn at a record; none if it takes too long, or too many wait already.
    pub async fn take(&self, record: Uuid, patience: Duration) -> Option<Turn> {
        let (entry, turns) = self.enter(record)?;
        let permit = timeout(patience, turns.acquire_owned()).await.ok()?.ok()?;
        Some(Turn { _permit: permit, _entry: entry })
    }

    fn enter(&self, record: Uuid) -> Option<(Entry, Arc<Semaphore>)> {
        let mut queues = self.0.lock();
        let queue = queues.entry(record).or_insert_with(|| Queue { turns: Arc::new(Semaphore::new(AT_ONCE)), entered: 0 });
        if queue.entered == AT_ONCE + WAITING {
            return None;
        }
        queue.entered += 1;
        Some((Entry { turns: self.clone(), record }, Arc::clone(&queue.turns)))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut queues = self.turns.0.lock();
        if let Some(queue) = queues.get_mut(&self.record) {
            queue.entered -= 1;
            if queue.entered == 0 {
                queues.remove(&self.record);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);
    const AT_ONCE_OR_NEVER: Duration = Duration::ZERO;

    #[tokio::test]
    async fn a_contended_record_does_not_hold_up_another() {
        let turns = Turns::default();
        let taken = [turns.take(RECORD, AT_ONCE_OR_NEVER).await, turns.take(RECORD, AT_ONCE_OR_NEVER).await];
        assert!(taken.iter().all(Option::is_some));
        assert!(turns.take(RECORD, AT_ONCE_OR_NEVER).await.is_none());
        assert!(turns.take(OTHER, AT_ONCE_OR_NEVER).await.is_some());
        drop(taken);
        assert!(turns.take(RECORD, AT_ONCE_OR_NEVER).await.is_some());
        assert!(turns.0.lock().is_empty(), "nothing is kept of records that are no longer written to");
    }

    #[tokio::test]
    async fn those_who_wait_are_few_and_served_in_their_order() {
        let turns = Turns::default();
        let mut taken = vec![turns.take(RECORD, AT_ONCE_OR_NEVER).await, turns.take(RECORD, AT_ONCE_OR_NEVER).await];
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let turns = turns.clone();
                tokio::spawn(async move { turns.take(RECORD, Duration::from_secs(60)).await.is_some() })
            })
            .collect();
        while turns.0.lock()[&RECORD].entered < AT_ONCE + WAITING {
            tokio::task::yield_now().await;
        }
        assert!(turns.take(RECORD, Duration::from_secs(60)).await.is_none(), "one too many");
        taken.clear();
        for turn in waiting {
            assert!(turn.await.unwrap());
        }
        assert!(turns.0.lock().is_empty());
    }
}
