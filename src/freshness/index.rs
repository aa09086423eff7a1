//! Whether lists may read the index of a collection, and how old it is: what the leader has stated, and what this server has seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::values::lsn::{Epoch, Lsn};

/// How long lists wait for what is not known yet; then Postgres answers. The leader repeats its statement every second.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long an index is trusted without another look: a server that is too busy to answer in time was not put back.
const TRUST: Duration = Duration::from_secs(10);

/// Whether lists may read the index of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// Not known yet after a start of this server or of Postgres, or because the index is a new one; lists wait until then.
    Unknown {
        until: Instant,
    },
    /// Postgres answers.
    Unusable(Unusable),
    Usable(LiveIndex),
}

/// An index that the leader vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveIndex {
    pub name: Arc<str>,
    /// It shows every change that was committed longer ago than this.
    pub lag: Duration,
}

/// Why lists cannot read an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("postgres does not answer")]
    NoPostgres,
    #[error("there is no live index yet")]
    NotBuilt,
    #[error("the sync has not confirmed the index since this server or postgres started")]
    NotVouched,
    #[error("elasticsearch does not answer for the index")]
    Unreachable,
    #[error("the index is not the one that the sync has written: it was replaced or restored")]
    Replaced,
}

/// What this server has seen of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It is the one that the leader has written.
    Genuine,
    /// Another one has its name, or it has lost writes.
    Replaced,
    /// Elasticsearch does not answer, or has no such index.
    Unreachable,
    /// Elasticsearch was too busy to answer: what was seen before holds for a while.
    Busy,
}

/// How far the sync is and with which indices; belongs together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Searches of live indices find every change up to here, except those of the backlog.
    pub searchable: Lsn,
    /// Collections of which some documents with changes from an LSN on are still in the backlog.
    pub backlog_since: BTreeMap<String, Lsn>,
    /// The live index of each collection.
    pub live: BTreeMap<String, Arc<str>>,
}

/// What the leader has stored, read in one snapshot.
#[derive(Clone, Debug)]
pub struct Statement {
    pub epoch: Epoch,
    pub reached: Reached,
    /// For each collection the moment before which searches find every change, by the clock of Postgres.
    pub searchable_at: BTreeMap<String, DateTime<Utc>>,
    /// When it was read, by the same clock.
    pub read_at: DateTime<Utc>,
}

impl Statement {
    /// How old the answers of a collection's index were when this was read; unknown before its first index.
    #[must_use]
    pub fn lag(&self, collection: &str) -> Option<Duration> {
        self.searchable_at.get(collection).map(|at| (self.read_at - at).to_std().unwrap_or_default())
    }
}

/// The connection to Postgres through which statements are read. Postgres cannot be restarted or put back while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contact {
    Lost,
    /// Since a moment, by the clock of Postgres.
    Since(DateTime<Utc>),
}

/// Everything that decides whether an index is used; writers are the follower, the leader of this process and the identity check.
#[derive(Debug)]
pub(super) struct Facts {
    epoch: Option<Epoch>,
    pub(super) reached: Reached,
    contact: Contact,
    /// The lag of each collection that the leader has vouched for since there is contact, and when that was read.
    lags: BTreeMap<String, Duration>,
    read: Instant,
    identities: BTreeMap<Arc<str>, (Identity, Instant)>,
    patient_until: Instant,
}

impl Default for Facts {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            epoch: None,
            reached: Reached::default(),
            contact: Contact::Lost,
            lags: BTreeMap::new(),
            read: now,
            identities: BTreeMap::new(),
            patient_until: now + PATIENCE,
        }
    }
}

impl Facts {
    /// Takes over how far the sync is unless a later state of the same epoch is known; returns whether anything changed.
    pub(super) fn advance(&mut self, epoch: Epoch, reached: Reached) -> bool {
        if (Some(epoch), reached.searchable) < (self.epoch, self.reached.searchable) {
            return false;
        }
        if self.reached.live != reached.live {
            self.patient_until = Instant::now() + PATIENCE;
        }
        let is_news = self.epoch != Some(epoch) || self.reached != reached;
        (self.epoch, self.reached) = (Some(epoch), reached);
        is_news
    }

    /// Whether an epoch is later than all that were known.
    pub(super) fn is_new(&self, epoch: Epoch) -> bool {
        Some(epoch) > self.epoch
    }

    /// Takes over a statement. The first one through a new connection says nothing of the index, since what it says may have been
    /// stated before Postgres was put back.
    pub(super) fn observe(&mut self, statement: Statement) {
        let now = Instant::now();
        let since = match self.contact {
            Contact::Since(since) => since,
            Contact::Lost => {
                self.patient_until = now + PATIENCE;
                statement.read_at
            }
        };
        self.contact = Contact::Since(since);
        let vouched = statement.searchable_at.iter().filter(|(_, at)| **at >= since);
        self.lags = vouched.filter_map(|(name, _)| Some((name.clone(), statement.lag(name)?))).collect();
        self.read = now;
        self.advance(statement.epoch, statement.reached);
    }

    pub(super) fn lose_contact(&mut self) {
        self.contact = Contact::Lost;
        self.patient_until = Instant::now();
    }

    /// Replaces what was seen of indices.
    pub(super) fn identify(&mut self, seen: BTreeMap<Arc<str>, Identity>) {
        let now = Instant::now();
        let before = std::mem::take(&mut self.identities);
        let seen = seen.into_iter().map(|(index, identity)| match (identity, before.get(&index)) {
            (Identity::Busy, Some(before)) => (index, *before),
            _ => (index, (identity, now)),
        });
        self.identities = seen.collect();
    }

    /// Trusts no index before it is seen again.
    pub(super) fn doubt(&mut self) {
        for (identity, _) in self.identities.values_mut().filter(|(identity, _)| *identity == Identity::Genuine) {
            *identity = Identity::Unreachable;
        }
    }

    /// Whether a live index was never looked at.
    pub(super) fn has_unseen(&self) -> bool {
        self.reached.live.values().any(|index| !self.identities.contains_key(index))
    }

    /// Whether lists wait for any live index.
    pub(super) fn is_unknown(&self) -> bool {
        self.reached.live.keys().any(|collection| matches!(self.index(collection), IndexState::Unknown { .. }))
    }

    /// Whether lists may read the index of a collection now.
    pub(super) fn index(&self, collection: &str) -> IndexState {
        let now = Instant::now();
        let unless_new = |reason| {
            if now < self.patient_until {
                IndexState::Unknown { until: self.patient_until }
            } else {
                IndexState::Unusable(reason)
            }
        };
        if self.contact == Contact::Lost {
            return unless_new(Unusable::NoPostgres);
        }
        let Some(name) = self.reached.live.get(collection) else { return IndexState::Unusable(Unusable::NotBuilt) };
        let Some(lag) = self.lags.get(collection) else { return unless_new(Unusable::NotVouched) };
        match self.identities.get(name) {
            None => return unless_new(Unusable::Unreachable),
            Some((Identity::Genuine, seen)) if now.duration_since(*seen) <= TRUST => {}
            Some((Identity::Replaced, _)) => return IndexState::Unusable(Unusable::Replaced),
            Some(_) => return IndexState::Unusable(Unusable::Unreachable),
        }
        IndexState::Usable(LiveIndex { name: Arc::clone(name), lag: *lag + now.duration_since(self.read) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn reached(searchable: u64, index: &str) -> Reached {
        let live = BTreeMap::from([("customers".to_owned(), Arc::from(index))]);
        Reached { searchable: Lsn(searchable), live, ..Reached::default() }
    }

    /// A statement that is read at a second and says that the index was current at another.
    fn statement(read: i64, searchable: i64) -> Statement {
        let searchable_at = BTreeMap::from([("customers".to_owned(), second(searchable))]);
        Statement { epoch: Epoch(1), reached: reached(10, "one"), searchable_at, read_at: second(read) }
    }

    fn seen(identity: Identity) -> BTreeMap<Arc<str>, Identity> {
        BTreeMap::from([(Arc::from("one"), identity)])
    }

    /// Facts of an index that is usable.
    fn usable() -> Facts {
        let mut facts = Facts::default();
        facts.observe(statement(100, 99));
        facts.observe(statement(101, 101));
        facts.identify(seen(Identity::Genuine));
        assert_eq!(lag(&facts), Some(0));
        facts
    }

    fn lag(facts: &Facts) -> Option<u64> {
        match facts.index("customers") {
            IndexState::Usable(index) => Some(index.lag.as_secs()),
            _ => None,
        }
    }

    fn is_unknown(facts: &Facts) -> bool {
        matches!(facts.index("customers"), IndexState::Unknown { .. })
    }

    async fn pass(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_is_used_once_the_leader_has_confirmed_it_again_and_it_was_seen() {
        let mut facts = Facts::default();
        assert!(is_unknown(&facts), "a server that has just started");
        facts.observe(statement(100, 99));
        facts.identify(seen(Identity::Genuine));
        assert!(is_unknown(&facts), "what was stated before the first look may be void");
        facts.observe(statement(101, 100));
        assert_eq!(lag(&facts), Some(1));
        assert_eq!(facts.index("accounts"), IndexState::Unusable(Unusable::NotBuilt));
    }

    #[tokio::test(start_paused = true)]
    async fn postgres_answers_if_no_leader_confirms_the_index() {
        let mut facts = Facts::default();
        pass(60).await;
        assert_eq!(facts.index("customers"), IndexState::Unusable(Unusable::NoPostgres));
        facts.observe(statement(160, 99));
        facts.identify(seen(Identity::Genuine));
        assert!(is_unknown(&facts));
        pass(PATIENCE.as_secs()).await;
        assert_eq!(facts.index("customers"), IndexState::Unusable(Unusable::NotVouched));
    }

    #[tokio::test(start_paused = true)]
    async fn the_lag_grows_until_the_leader_moves_the_moment() {
        let mut facts = usable();
        pass(5).await;
        assert_eq!(lag(&facts), Some(5), "nothing was read meanwhile");
        facts.observe(statement(106, 101));
        assert_eq!(lag(&facts), Some(5));
        facts.observe(statement(107, 106));
        assert_eq!(lag(&facts), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_to_postgres_voids_what_was_stated_before() {
        let mut facts = usable();
        facts.lose_contact();
        assert_eq!(facts.index("customers"), IndexState::Unusable(Unusable::NoPostgres));
        facts.observe(statement(103, 101));
        assert!(is_unknown(&facts));
        facts.observe(statement(104, 103));
        assert_eq!(lag(&facts), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_is_trusted_for_a_while_if_elasticsearch_is_busy_and_not_at_all_if_it_is_another() {
        let mut facts = usable();
        pass(TRUST.as_secs()).await;
        facts.identify(seen(Identity::Busy));
        assert_eq!(lag(&facts), Some(TRUST.as_secs()));
        pass(1).await;
        assert_eq!(facts.index("customers"), IndexState::Unusable(Unusable::Unreachable));
        for (identity, reason) in [(Identity::Replaced, Unusable::Replaced), (Identity::Unreachable, Unusable::Unreachable)] {
            facts.identify(seen(identity));
            assert_eq!(facts.index("customers"), IndexState::Unusable(reason));
        }
        facts.identify(seen(Identity::Genuine));
        assert!(lag(&facts).is_some());
        facts.doubt();
        assert_eq!(facts.index("customers"), IndexState::Unusable(Unusable::Unreachable));
    }

    #[tokio::test(start_paused = true)]
    async fn lists_wait_for_the_first_look_at_a_new_index() {
        let mut facts = usable();
        pass(60).await;
        assert!(facts.advance(Epoch(1), reached(20, "two")));
        assert!(is_unknown(&facts) && facts.has_unseen());
        facts.identify(BTreeMap::from([(Arc::from("two"), Identity::Genuine)]));
        assert!(lag(&facts).is_some() && !facts.has_unseen());
    }

    #[test]
    fn an_older_state_of_the_same_epoch_is_ignored() {
        let mut facts = Facts::default();
        for (epoch, lsn, expected) in [(1, 80, 80), (1, 40, 80), (2, 40, 40), (1, 90, 40), (2, 48, 48)] {
            facts.advance(Epoch(epoch), reached(lsn, "one"));
            assert_eq!(facts.reached.searchable, Lsn(expected));
        }
    }
}
