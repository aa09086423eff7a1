//! Turns: little work at a time for one key, and few who wait for it, so that no key takes what all others need.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The turns of all keys that have work under way in this process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Turns<K: Eq + Hash>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K> {
    /// Turns of one key at once.
    at_once: u32,
    /// Those of one key that may work or wait; with more, the last would wait in vain.
    most: usize,
    queues: Mutex<HashMap<K, Queue>>,
}

#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    /// Those that have a turn and those that wait for one.
    entered: usize,
}

/// Turns of one key; others get them when this value is dropped.
#[derive(Debug)]
pub struct Turn<K: Eq + Hash + Clone> {
    _permit: OwnedSemaphorePermit,
    _entry: Entry<K>,
}

#[derive(Debug)]
struct Entry<K: Eq + Hash + Clone> {
    turns: Turns<K>,
    key: K,
}

impl<K: Eq + Hash + Clone> Turns<K> {
    /// Gives each key so many turns at once, while as many as `waiting` may wait.
    #[must_use]
    pub fn new(at_once: u32, waiting: usize) -> Self {
        let most = at_once as usize + waiting;
        Self(Arc::new(Inner { at_once, most, queues: Mutex::default() }))
    }

    /// Waits for some turns of a key, in the order of arrival; none if it takes too long, or too many wait already.
    pub async fn take(&self, key: K, turns: u32, patience: Duration) -> Option<Turn<K>> {
        let (entry, queue) = self.enter(key)?;
        let permit = timeout(patience, queue.acquire_many_owned(turns)).await.ok()?.ok()?;
        Some(Turn { _permit: permit, _entry: entry })
    }

    fn enter(&self, key: K) -> Option<(Entry<K>, Arc<Semaphore>)> {
        let mut queues = self.0.queues.lock();
        let new = || Queue { turns: Arc::new(Semaphore::new(self.0.at_once as usize)), entered: 0 };
        let queue = queues.entry(key.clone()).or_insert_with(new);
        if queue.entered == self.0.most {
            return None;
        }
        queue.entered += 1;
        Some((Entry { turns: self.clone(), key }, Arc::clone(&queue.turns)))
    }
}

impl<K: Eq + Hash + Clone> Drop for Entry<K> {
    fn drop(&mut self) {
        let mut queues = self.turns.0.queues.lock();
        if let Some(queue) = queues.get_mut(&self.key) {
            queue.entered -= 1;
            if queue.entered == 0 {
                queues.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE_OR_NEVER: Duration = Duration::ZERO;
    const A_MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_contended_key_does_not_hold_up_another() {
        let turns = Turns::new(2, 1);
        let taken = [turns.take("one", 1, AT_ONCE_OR_NEVER).await, turns.take("one", 1, AT_ONCE_OR_NEVER).await];
        assert!(taken.iter().all(Option::is_some));
        assert!(turns.take("one", 1, AT_ONCE_OR_NEVER).await.is_none());
        assert!(turns.take("other", 1, AT_ONCE_OR_NEVER).await.is_some());
        drop(taken);
        assert!(turns.take("one", 2, AT_ONCE_OR_NEVER).await.is_some());
        assert!(turns.0.queues.lock().is_empty(), "nothing is kept of keys without work");
    }

    #[tokio::test]
    async fn heavy_work_takes_several_turns() {
        let turns = Turns::new(8, 1);
        let heavy = [turns.take("one", 4, AT_ONCE_OR_NEVER).await, turns.take("one", 4, AT_ONCE_OR_NEVER).await];
        assert!(heavy.iter().all(Option::is_some));
        assert!(turns.take("one", 1, AT_ONCE_OR_NEVER).await.is_none());
    }

    #[tokio::test]
    async fn those_who_wait_are_few_and_served_in_their_order() {
        let turns = Turns::new(2, 64);
        let mut taken = vec![turns.take("one", 1, AT_ONCE_OR_NEVER).await, turns.take("one", 1, AT_ONCE_OR_NEVER).await];
        let wait = |turns: Turns<_>| tokio::spawn(async move { turns.take("one", 1, A_MINUTE).await.is_some() });
        let waiting: Vec<_> = (0..64).map(|_| wait(turns.clone())).collect();
        while turns.0.queues.lock()["one"].entered < turns.0.most {
            tokio::task::yield_now().await;
        }
        assert!(turns.take("one", 1, A_MINUTE).await.is_none(), "one too many");
        taken.clear();
        for turn in waiting {
            assert!(turn.await.unwrap());
        }
        assert!(turns.0.queues.lock().is_empty());
    }
}
