//! When rows changed last, as far as it matters to what is remembered of them.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

/// Rows share this many stamps. Two that share one are taken to change together, which costs a read now and then.
const COUNT: usize = 1 << 16;

/// A moment in the order of all changes that were heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

/// When rows changed last, in a fixed amount of memory.
///
/// A reader notes the moment before it asks Postgres. What it then remembers is good as long as nothing that it shows has changed
/// after that moment, so a slow reader cannot bring back what a change has made old: compare-and-set, with the comparison made
/// again at every use. Versions of rows would not do, because a record also shows rows of others.
pub(super) struct Stamps {
    clock: AtomicU64,
    changed: Box<[AtomicU64]>,
    /// Whatever was noted before is forgotten.
    floor: AtomicU64,
    hasher: RandomState,
}

impl Default for Stamps {
    fn default() -> Self {
        Self::with(COUNT)
    }
}

impl Stamps {
    fn with(count: usize) -> Self {
        let changed = (0..count).map(|_| AtomicU64::default()).collect();
        Self { clock: AtomicU64::default(), changed, floor: AtomicU64::default(), hasher: RandomState::new() }
    }

    /// The moment from which on a read shows everything that has been noted.
    pub(super) fn now(&self) -> Moment {
        Moment(self.clock.load(Ordering::SeqCst))
    }

    /// Notes that a row has changed: everybody who reads it from now on sees it.
    pub(super) fn changed(&self, collection: &str, id: Uuid) {
        self.stamp(collection, id).fetch_max(self.tick(), Ordering::SeqCst);
    }

    /// Notes that everything may have changed.
    pub(super) fn forget_all(&self) {
        self.floor.fetch_max(self.tick(), Ordering::SeqCst);
    }

    /// Whether none of the rows has changed since.
    pub(super) fn is_good<'a>(&self, since: Moment, rows: impl IntoIterator<Item = (&'a str, Uuid)>) -> bool {
        self.floor.load(Ordering::SeqCst) <= since.0
            && rows.into_iter().all(|(collection, id)| self.stamp(collection, id).load(Ordering::SeqCst) <= since.0)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn stamp(&self, collection: &str, id: Uuid) -> &AtomicU64 {
        let hash = self.hasher.hash_one((collection, id));
        &self.changed[usize::try_from(hash % self.changed.len() as u64).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What can happen, in any order: a row is committed, its change is heard of, a reader begins, takes its snapshot, and fills.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Commit(usize),
        Hear,
        Begin(usize),
        Look(usize),
        Fill(usize),
        Forget,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3_usize).prop_map(Step::Commit),
            Just(Step::Hear),
            (0..3_usize).prop_map(Step::Begin),
            (0..3_usize).prop_map(Step::Look),
            (0..3_usize).prop_map(Step::Fill),
            Just(Step::Forget),
        ]
    }

    #[derive(Clone, Copy, Default)]
    struct Reader {
        since: Option<Moment>,
        seen: Option<[u64; 3]>,
    }

    proptest! {
        /// A remembered answer that counts as good shows every change that was heard of, whatever the order.
        #[test]
        fn what_is_good_is_never_older_than_what_was_heard(
            steps in proptest::collection::vec(step(), 0..60),
            stamps in prop_oneof![Just(1_usize), Just(2), Just(1_024)],
        ) {
            let stamps = Stamps::with(stamps);
            let rows = [("customers", Uuid::from_u128(1)), ("accounts", Uuid::from_u128(2)), ("users", Uuid::from_u128(3))];
            let (mut committed, mut heard) = ([0_u64; 3], [0_u64; 3]);
            let mut waiting = std::collections::VecDeque::new();
            let mut readers = [Reader::default(); 3];
            let mut kept: Option<(Moment, [u64; 3])> = None;
            for step in steps {
                match step {
                    Step::Commit(row) => {
                        committed[row] += 1;
                        waiting.push_back((row, committed[row]));
                    }
                    Step::Hear => if let Some((row, version)) = waiting.pop_front() {
                        stamps.changed(rows[row].0, rows[row].1);
                        heard[row] = version;
                    },
                    Step::Begin(reader) => readers[reader] = Reader { since: Some(stamps.now()), seen: None },
                    Step::Look(reader) => readers[reader].seen = readers[reader].since.map(|_| committed),
                    Step::Fill(reader) => {
                        let Reader { since, seen } = std::mem::take(&mut readers[reader]);
                        kept = since.zip(seen).or(kept);
                    }
                    Step::Forget => {
                        stamps.forget_all();
                        if let Some((since, _)) = kept {
                            prop_assert!(!stamps.is_good(since, []));
                        }
                    }
                }
                if let Some((since, seen)) = kept && stamps.is_good(since, rows) {
                    prop_assert!((0..3).all(|row| seen[row] >= heard[row]), "{seen:?} is older than {heard:?}");
                }
            }
        }
    }

    #[test]
    fn a_change_of_another_row_leaves_a_remembered_one_good() {
        let stamps = Stamps::default();
        let (mine, others) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let since = stamps.now();
        stamps.changed("customers", others);
        assert!(stamps.is_good(since, [("customers", mine)]) || stamps.stamp("customers", mine).load(Ordering::SeqCst) > 0);
        stamps.changed("customers", mine);
        assert!(!stamps.is_good(since, [("customers", mine)]));
        assert!(stamps.is_good(stamps.now(), [("customers", mine)]));
    }
}
