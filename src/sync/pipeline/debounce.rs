//! Hot keys: documents that change again and again are written the less often the faster they change.
//!
//! After a write a document rests, the longer the more changes the write has shown. What changes meanwhile is held back and written
//! once when the rest is over, or as soon as somebody waits for it. A document that changes less often than that is never held.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::config;
use crate::sync::stream::batch::Keys;
use crate::values::lsn::Lsn;

/// Documents that are watched at most. While more than that change within their rest, nothing new counts as hot.
const WATCHED: usize = 100_000;
/// What is due so soon after one another is written together.
const TOGETHER: Duration = Duration::from_millis(100);

type Key = (&'static str, Uuid);

/// What rests, and what has changed since.
pub(crate) struct HotKeys {
    /// The rest for each change that a write has shown.
    pause: Duration,
    /// The longest rest.
    limit: Duration,
    resting: HashMap<Key, Rest>,
    /// What is held, by the end of its rest.
    due: BinaryHeap<Reverse<(Instant, Key)>>,
    /// How many are held since each position.
    since: BTreeMap<Lsn, usize>,
    /// At so many the rests that are over are forgotten, but not before that moment: looking through them is not for every change.
    crowd: usize,
    clear_from: Instant,
}

/// A document's rest.
struct Rest {
    until: Instant,
    /// Changes since it was written; if there are any it is held.
    changes: u32,
    /// The changes come after this position.
    since: Lsn,
}

impl HotKeys {
    pub(crate) fn new(settings: &config::Sync) -> Self {
        Self {
            pause: Duration::from_millis(settings.hot_pause_ms),
            limit: Duration::from_millis(settings.hot_limit_ms),
            resting: HashMap::new(),
            due: BinaryHeap::new(),
            since: BTreeMap::new(),
            crowd: WATCHED / 10,
            clear_from: Instant::now(),
        }
    }

    /// Leaves in `keys` what may be written now. All of it changed after the position.
    pub(crate) fn hold(&mut self, keys: &mut Keys, since: Lsn) {
        let now = Instant::now();
        self.clear(now);
        for (collection, ids) in keys.iter_mut() {
            ids.retain(|id| self.may_write((collection, *id), since, now));
        }
        keys.retain(|_, ids| !ids.is_empty());
    }

    fn may_write(&mut self, key: Key, since: Lsn, now: Instant) -> bool {
        let is_crowded = self.resting.len() >= WATCHED;
        let until = now + self.pause.min(self.limit);
        match self.resting.entry(key) {
            Entry::Vacant(_) if is_crowded => true,
            Entry::Vacant(free) => {
                free.insert(Rest { until, changes: 0, since });
                true
            }
            Entry::Occupied(mut known) if known.get().changes == 0 && known.get().until <= now => {
                known.insert(Rest { until, changes: 0, since });
                true
            }
            Entry::Occupied(mut known) => {
                let rest = known.get_mut();
                if rest.changes == 0 {
                    rest.since = since;
                    *self.since.entry(since).or_default() += 1;
                    self.due.push(Reverse((rest.until, key)));
                }
                rest.changes += 1;
                false
            }
        }
    }

    /// When the next rest of something held is over.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((until, _))| *until)
    }

    /// Everything held has changed after this position.
    pub(crate) fn floor(&self) -> Option<Lsn> {
        self.since.keys().next().copied()
    }

    /// Lets go what has rested. It rests again from now on, for as long as it has changed often.
    pub(crate) fn release(&mut self) -> Keys {
        self.release_until(Instant::now() + TOGETHER)
    }

    /// Lets go everything.
    pub(crate) fn release_all(&mut self) -> Keys {
        self.release_until(Instant::now() + self.limit)
    }

    fn release_until(&mut self, end: Instant) -> Keys {
        let now = Instant::now();
        let mut keys = Keys::new();
        while let Some(Reverse((_, key))) = self.due.peek().filter(|Reverse((until, _))| *until <= end).copied() {
            self.due.pop();
            let Some(rest) = self.resting.get_mut(&key) else { continue };
            if let Some(count) = self.since.get_mut(&rest.since) {
                *count -= 1;
                if *count == 0 {
                    self.since.remove(&rest.since);
                }
            }
            rest.until = now + (self.pause * rest.changes).min(self.limit);
            rest.changes = 0;
            keys.entry(key.0).or_default().insert(key.1);
        }
        keys
    }

    /// Forgets rests that are over, now and then.
    fn clear(&mut self, now: Instant) {
        if self.resting.len() >= self.crowd && now >= self.clear_from {
            self.resting.retain(|_, rest| rest.changes > 0 || rest.until > now);
            self.crowd = (self.resting.len() * 2).clamp(WATCHED / 10, WATCHED);
            self.clear_from = now + TOGETHER;
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::time::{advance, sleep_until};

    use super::*;

    #[derive(Parser)]
    struct Settings {
        #[command(flatten)]
        sync: config::Sync,
    }

    fn hot_keys(pause: &str, limit: &str) -> HotKeys {
        HotKeys::new(&Settings::parse_from(["it", "--sync-hot-pause-ms", pause, "--sync-hot-limit-ms", limit]).sync)
    }

    /// Says whether a change of a document may be written now.
    fn change(hot: &mut HotKeys, id: u128, since: u64) -> bool {
        let mut keys = Keys::from([("payments", [Uuid::from_u128(id)].into())]);
        hot.hold(&mut keys, Lsn(since));
        !keys.is_empty()
    }

    fn ids(keys: &Keys) -> Vec<u128> {
        let mut ids: Vec<u128> = keys.get("payments").into_iter().flatten().map(Uuid::as_u128).collect();
        ids.sort_unstable();
        ids
    }

    /// Changes a document so often, with such a pause in between; returns how often it is written and how long a change waits at most.
    async fn steadily(changes: u64, pause: u64) -> (u64, Duration) {
        let mut hot = hot_keys("500", "10000");
        let (mut writes, mut longest, mut held) = (0, Duration::ZERO, None);
        for number in 0..changes {
            let next = Instant::now() + Duration::from_millis(pause);
            match change(&mut hot, 1, number) {
                true => writes += 1,
                false => drop(held.get_or_insert_with(Instant::now)),
            }
            while let Some(due) = hot.due().filter(|due| *due <= next) {
                sleep_until(due).await;
                assert_eq!(ids(&hot.release()), [1]);
                writes += 1;
                longest = longest.max(held.take().unwrap().elapsed());
            }
            sleep_until(next).await;
        }
        (writes, longest)
    }

    #[tokio::test(start_paused = true)]
    async fn the_faster_a_document_changes_the_fewer_of_its_changes_are_written() {
        let table = [
            // changes, pause between them in milliseconds, writes at most, longest wait at most
            (1, 0, 1, 0),
            (50, 1_000, 50, 0),
            (50, 500, 50, 0),
            (100, 150, 12, 10_000),
            (1_000, 100, 20, 10_000),
            (10_000, 10, 20, 10_000),
            (100_000, 1, 20, 10_000),
        ];
        for (changes, pause, writes, wait) in table {
            let (written, waited) = steadily(changes, pause).await;
            assert!(written <= writes && written > 0, "{changes} changes every {pause} ms: {written} writes");
            assert!(waited <= Duration::from_millis(wait), "{changes} changes every {pause} ms: one waits {waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_says_since_when_and_comes_when_it_is_wanted() {
        let mut hot = hot_keys("250", "10000");
        assert!(change(&mut hot, 1, 10) && change(&mut hot, 2, 20));
        assert_eq!((hot.floor(), hot.due()), (None, None));
        advance(Duration::from_millis(130)).await;
        assert!(change(&mut hot, 3, 30));
        assert!(!change(&mut hot, 2, 40) && !change(&mut hot, 2, 50) && !change(&mut hot, 1, 60) && !change(&mut hot, 3, 70));
        assert_eq!(hot.floor(), Some(Lsn(40)));
        // The rest of the third is over only later.
        assert_eq!(hot.due(), Some(Instant::now() + Duration::from_millis(120)));
        advance(Duration::from_millis(120)).await;
        assert_eq!(ids(&hot.release()), [1, 2]);
        assert_eq!(hot.floor(), Some(Lsn(70)));
        // The second has shown two changes and rests twice as long as the first.
        assert!(!change(&mut hot, 1, 80) && !change(&mut hot, 2, 90));
        assert_eq!(ids(&hot.release_all()), [1, 2, 3]);
        assert_eq!((hot.floor(), hot.due()), (None, None));
        assert_eq!(ids(&hot.release_all()), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_document_that_has_cooled_is_written_at_once() {
        let mut hot = hot_keys("250", "1000");
        for number in 0..100 {
            change(&mut hot, 1, number);
        }
        advance(Duration::from_millis(250)).await;
        assert_eq!(ids(&hot.release()), [1]);
        assert!(!change(&mut hot, 1, 100));
        // 99 changes at once are a rest of a second and no longer.
        advance(Duration::from_secs(1)).await;
        assert_eq!(ids(&hot.release()), [1]);
        advance(Duration::from_millis(250)).await;
        assert!(change(&mut hot, 1, 101));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_held_where_that_is_turned_off() {
        for (pause, limit) in [("0", "10000"), ("250", "0")] {
            let mut hot = hot_keys(pause, limit);
            assert!((0..10).all(|number| change(&mut hot, 1, number)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_watched_is_bounded_and_forgotten() {
        let mut hot = hot_keys("250", "10000");
        for round in 0..3 {
            for id in 0..2 * WATCHED as u128 {
                assert!(change(&mut hot, id, 0));
            }
            assert!(hot.resting.len() <= WATCHED, "round {round}");
            advance(Duration::from_millis(250)).await;
        }
        assert!(change(&mut hot, 1, 0));
        assert_eq!(hot.resting.len(), 1);
    }
}
