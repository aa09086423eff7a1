//! Work that many ask for at once: it is done once a second, and where it fails, its last result stands in.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a result is current: eyes see no difference, and a thousand open dashboards cost as much as one.
const LIFE: Duration = Duration::from_secs(1);

/// Most results; then the one that was not asked for longest goes.
const CAPACITY: usize = 200;

/// Results by key, shared by all who ask.
#[derive(Default)]
pub struct Shared(Mutex<HashMap<String, Slot>>);

struct Slot {
    asked: Instant,
    state: Arc<tokio::sync::Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Of the last attempt.
    ended: Option<Instant>,
    has_failed: bool,
    /// What the last attempt that did not fail has found.
    found: Option<Arc<dyn Any + Send + Sync>>,
}

/// A result.
#[derive(Debug)]
pub enum Found<T> {
    Current(Arc<T>),
    /// The last one, because there is no current one to be had.
    Last(Arc<T>),
}

impl Shared {
    /// Returns the result of the last second if it `is_enough`, or else works for a new one. Who asks meanwhile waits for it.
    ///
    /// # Errors
    /// That of the work, if nothing was ever found.
    pub async fn get<T: Send + Sync + 'static, E: std::fmt::Display>(
        &self,
        key: &str,
        is_enough: impl Fn(&T) -> bool,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<Found<T>, E> {
        let slot = self.slot(key);
        let mut state = slot.lock().await;
        let found = state.found.clone().and_then(|found| found.downcast::<T>().ok());
        if let (Some(found), Some(ended)) = (&found, state.ended)
            && ended.elapsed() < LIFE
        {
            if state.has_failed {
                return Ok(Found::Last(Arc::clone(found)));
            }
            if is_enough(found) {
                return Ok(Found::Current(Arc::clone(found)));
            }
        }
        let worked = work.await;
        (state.ended, state.has_failed) = (Some(Instant::now()), worked.is_err());
        match worked {
            Ok(new) => {
                let new = Arc::new(new);
                state.found = Some(Arc::<T>::clone(&new));
                Ok(Found::Current(new))
            }
            Err(error) => {
                let last = found.ok_or(error)?;
                tracing::warn!(key, "the last result stands in for one that cannot be had");
                Ok(Found::Last(last))
            }
        }
    }

    fn slot(&self, key: &str) -> Arc<tokio::sync::Mutex<State>> {
        let (mut slots, asked) = (self.0.lock(), Instant::now());
        if !slots.contains_key(key)
            && slots.len() >= CAPACITY
            && let Some(oldest) = slots.iter().min_by_key(|(_, slot)| slot.asked).map(|(key, _)| key.clone())
        {
            slots.remove(&oldest);
        }
        let slot = slots.entry(key.to_owned()).or_insert_with(|| Slot { asked, state: Arc::default() });
        slot.asked = asked;
        Arc::clone(&slot.state)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;

    use super::*;

    async fn ask(shared: &Shared, result: Result<u32, &'static str>) -> Result<(bool, u32), &'static str> {
        Ok(match shared.get("key", |found| *found > 0, async { result }).await? {
            Found::Current(found) => (true, *found),
            Found::Last(found) => (false, *found),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_done_once_a_second_however_many_ask() {
        let (shared, worked) = (Shared::default(), AtomicU32::new(0));
        let ask = || {
            shared.get("key", |_| true, async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Ok::<_, String>(worked.fetch_add(1, Ordering::Relaxed))
            })
        };
        for round in 0..3 {
            for found in join_all((0..100).map(|_| ask())).await {
                assert!(matches!(found, Ok(Found::Current(found)) if *found == round));
            }
            tokio::time::advance(LIFE).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_result_stands_in_for_a_failure_and_is_marked() {
        let shared = Shared::default();
        assert_eq!(ask(&shared, Err("away")).await, Err("away"));
        assert_eq!(ask(&shared, Ok(1)).await, Ok((true, 1)));
        tokio::time::advance(LIFE).await;
        assert_eq!(ask(&shared, Err("away")).await, Ok((false, 1)));
        assert_eq!(ask(&shared, Ok(2)).await, Ok((false, 1)), "it is not tried again at once");
        tokio::time::advance(LIFE).await;
        assert_eq!(ask(&shared, Ok(2)).await, Ok((true, 2)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_needs_more_than_what_was_found_gets_new_work() {
        let shared = Shared::default();
        assert_eq!(ask(&shared, Ok(0)).await, Ok((true, 0)));
        assert_eq!(ask(&shared, Ok(7)).await, Ok((true, 7)));
        assert_eq!(ask(&shared, Ok(8)).await, Ok((true, 7)));
    }

    #[tokio::test]
    async fn what_was_not_asked_for_longest_is_forgotten() {
        let shared = Shared::default();
        for number in 0..2 * CAPACITY {
            shared.get(&number.to_string(), |_| true, async { Ok::<_, String>(number) }).await.unwrap();
        }
        assert_eq!(shared.0.lock().len(), CAPACITY);
        assert!(shared.0.lock().contains_key(&(2 * CAPACITY - 1).to_string()));
    }
}
