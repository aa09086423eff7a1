//! Compares an index with the rows, document by document, and repairs what differs.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::compare::{self, Depth, Observation, Range, Verdict};
use super::wait;
use crate::app::App;
use crate::collections;
use crate::search::{Collection, Elastic, index};
use crate::sync::store::dead_letters;
use crate::sync::stream::batch::{Keys, split};
use crate::sync::writer::Writer;
use crate::values::lsn::Version;

pub use super::compare::Difference;

/// Times that a document in flight is observed again.
const RECHECKS: usize = 5;

/// What differs, by document.
pub type Differences = HashMap<Uuid, Difference>;

/// What a comparison has found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Ids that were compared, on either side.
    pub checked: usize,
    /// What differs, and would go on differing.
    pub differences: Differences,
    /// Documents that were in flight every time.
    pub unsettled: HashSet<Uuid>,
    /// Documents that another program wrote, with ids that are no UUIDs.
    pub strays: BTreeSet<String>,
    /// Whether there are more of them.
    pub has_more_strays: bool,
}

impl Findings {
    fn add(&mut self, other: Self) {
        self.checked += other.checked;
        self.differences.extend(other.differences);
        self.unsettled.extend(other.unsettled);
        self.strays.extend(other.strays);
        self.has_more_strays |= other.has_more_strays;
    }
}

/// Compares which documents there are and which version of its row each shows: much cheaper than [`contents`].
///
/// # Errors
/// [`wait::Behind`], like everything here that compares.
pub async fn versions(app: &App, elastic: &Elastic, collection: &'static Collection, index: &str) -> anyhow::Result<Findings> {
    walk(app, elastic, collection, index, Depth::Versions).await
}

/// Compares every document with what would be written now.
pub async fn contents(app: &App, elastic: &Elastic, collection: &'static Collection, index: &str) -> anyhow::Result<Findings> {
    walk(app, elastic, collection, index, Depth::Contents).await
}

/// Compares the contents of single documents.
pub async fn documents(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    ids: &[Uuid],
) -> anyhow::Result<Differences> {
    let observations = compare::observe(app, elastic, collection, index, ids).await?;
    Ok(settle(app, elastic, collection, index, observations).await?.differences)
}

/// Writes what differs again and returns what differs still.
pub async fn repair(
    app: &App,
    writer: &Writer,
    collection: &'static Collection,
    index: &str,
    differences: &Differences,
) -> anyhow::Result<Differences> {
    if differences.is_empty() {
        return Ok(Differences::new());
    }
    // Above everything that was written so far, also by a program that knows no versions, and below whatever comes.
    let searchable = wait::until_searchable(app, collection).await?;
    let ids: Vec<Uuid> = differences.keys().copied().collect();
    let keys = Keys::from([(collection.name, ids.iter().copied().collect())]);
    writer.add_index(collection, index);
    for keys in split(keys, writer.batch_size) {
        writer.write(&keys, Version::floor(writer.epoch, searchable)).await?;
    }
    documents(app, &writer.elastic, collection, index, &ids).await
}

/// Says in how many ways documents differ: `1 missing, 2 stale, 0 without a row`.
#[must_use]
pub fn summary(differences: &Differences) -> String {
    let count = |kind| differences.values().filter(|difference| **difference == kind).count();
    let [missing, stale, ghosts] = [Difference::Missing, Difference::Stale, Difference::Ghost].map(count);
    format!("{missing} missing, {stale} stale, {ghosts} without a row")
}

/// Counts the accounts whose balance is not the sum of their ledger.
pub async fn ledger(app: &App) -> anyhow::Result<i64> {
    let wrong = sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from accounts a
        left join (select account_id, sum(amount) as amount from ledger_entries group by account_id) l on l.account_id = a.id
        where a.balance <> coalesce(l.amount, 0)
        "#
    );
    Ok(wrong.fetch_one(&app.db.sync).await?)
}

async fn walk(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    depth: Depth,
) -> anyhow::Result<Findings> {
    // Only the live index is refreshed on the way.
    index::refresh(elastic, index).await?;
    let mut findings = Findings::default();
    let mut after = None;
    loop {
        let Range { end, ids, different, strays, is_cut } =
            compare::observe_range(app, elastic, collection, index, after, None, depth).await?;
        findings.checked += ids;
        findings.has_more_strays |= is_cut && !strays.is_empty();
        findings.strays.extend(strays);
        findings.add(settle(app, elastic, collection, index, different).await?);
        if end.is_none() {
            return Ok(findings);
        }
        after = end;
    }
}

/// Rechecks what seemed different, each time after the index has taken in what was on its way.
async fn settle(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    mut in_flight: HashMap<Uuid, Observation>,
) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    for _ in 0..RECHECKS {
        if in_flight.is_empty() {
            break;
        }
        wait::until_searchable(app, collection).await?;
        let differences;
        (differences, in_flight) = recheck(app, elastic, collection, index, in_flight).await?;
        findings.differences.extend(differences);
    }
    findings.unsettled.extend(in_flight.into_keys());
    Ok(findings)
}

/// Observes documents once more; returns those that differ and those still in flight.
///
/// The index has to have taken in everything committed before the first observations.
pub async fn recheck(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    before: HashMap<Uuid, Observation>,
) -> anyhow::Result<(Differences, HashMap<Uuid, Observation>)> {
    let ids: Vec<Uuid> = before.keys().copied().collect();
    let observations = compare::observe(app, elastic, collection, index, &ids).await?;
    let (mut different, mut in_flight) = (Differences::new(), HashMap::new());
    for (id, before) in before {
        let after = observations.get(&id).copied().unwrap_or_default();
        match compare::classify(before, after) {
            Verdict::Equal => {}
            Verdict::Different(difference) => {
                different.insert(id, difference);
            }
            Verdict::InFlight => {
                in_flight.insert(id, after);
            }
        }
    }
    Ok((different, in_flight))
}

/// Returns the quarantined documents by collection.
pub async fn quarantined(app: &App) -> anyhow::Result<Keys> {
    let mut keys = Keys::new();
    for (name, id) in dead_letters::quarantined(&app.db.sync).await? {
        if let Some(collection) = collections::find(&name) {
            keys.entry(collection.name).or_default().insert(id);
        }
    }
    Ok(keys)
}

/// Removes quarantined documents from what differs, and returns them: they are counted and tried again elsewhere.
pub async fn split_off_quarantined(
    app: &App,
    collection: &Collection,
    differences: &mut Differences,
) -> anyhow::Result<Vec<Uuid>> {
    if differences.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = differences.keys().copied().collect();
    let quarantined = dead_letters::quarantined_of(&app.db.sync, collection.name, Some(&ids)).await?;
    differences.retain(|id, _| !quarantined.contains(id));
    Ok(quarantined)
}
