//! Compares an index with the rows, document by document, and repairs what differs.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::compare::{self, Depth, Range, Sight, Verdict};
use super::wait;
use crate::app::App;
use crate::collections;
use crate::search::{Collection, Elastic, index};
use crate::sync::store::{checkpoint, generations};
use crate::sync::stream::batch::{Keys, split};
use crate::sync::writer::Writer;
use crate::values::lsn::Version;

pub use super::compare::Difference;

/// Looks at a document that keeps moving.
const LOOKS: usize = 5;

/// What differs, by document.
pub type Differences = HashMap<Uuid, Difference>;

/// What a comparison has found.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many ids were compared, on either side.
    pub checked: usize,
    /// What differs, and would go on differing.
    pub differences: Differences,
    /// What was written anew between any two looks, so that there was no moment to judge it by.
    pub unsettled: HashSet<Uuid>,
    /// Documents that somebody else wrote, with ids that are none of ours.
    pub strays: BTreeSet<String>,
}

impl Findings {
    fn add(&mut self, other: Self) {
        self.checked += other.checked;
        self.differences.extend(other.differences);
        self.unsettled.extend(other.unsettled);
        self.strays.extend(other.strays);
    }
}

/// Compares which documents there are and which version of its row each shows: much cheaper than [`contents`].
///
/// # Errors
/// The database's or the index's, or [`wait::Behind`].
pub async fn versions(app: &App, elastic: &Elastic, collection: &'static Collection, index: &str) -> anyhow::Result<Findings> {
    walk(app, elastic, collection, index, Depth::Versions).await
}

/// Compares every document with what would be written now.
///
/// # Errors
/// The database's or the index's, or [`wait::Behind`].
pub async fn contents(app: &App, elastic: &Elastic, collection: &'static Collection, index: &str) -> anyhow::Result<Findings> {
    walk(app, elastic, collection, index, Depth::Contents).await
}

/// Compares single documents.
///
/// # Errors
/// The database's or the index's, or [`wait::Behind`].
pub async fn again(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    ids: &[Uuid],
) -> anyhow::Result<Differences> {
    let sights = compare::look(app, elastic, collection, index, ids).await?;
    Ok(settle(app, elastic, collection, index, sights).await?.differences)
}

/// Writes what differs again and returns what differs still.
///
/// # Errors
/// The database's or the index's, or [`wait::Behind`].
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
    // Beyond everything that was written so far, also by a hand that knew no versions, and below whatever comes.
    let applied = wait::now(app, collection).await?;
    let ids: Vec<Uuid> = differences.keys().copied().collect();
    let keys = Keys::from([(collection.name, ids.iter().copied().collect())]);
    writer.add(collection, index);
    for keys in split(keys, writer.batch_size) {
        writer.write(&keys, Version::floor(writer.epoch, applied)).await?;
    }
    again(app, &writer.elastic, collection, index, &ids).await
}

/// Says in how many ways documents differ: `1 missing, 2 stale, 0 without a row`.
#[must_use]
pub fn summary(differences: &Differences) -> String {
    let count = |kind| differences.values().filter(|difference| **difference == kind).count();
    let [missing, stale, ghosts] = [Difference::Missing, Difference::Stale, Difference::Ghost].map(count);
    format!("{missing} missing, {stale} stale, {ghosts} without a row")
}

/// Counts the accounts whose balance is not the sum of their ledger.
///
/// # Errors
/// The database's.
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

/// Walks through a collection, range by range.
async fn walk(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    depth: Depth,
) -> anyhow::Result<Findings> {
    // An index that lists do not read is not refreshed on the way.
    index::refresh(elastic, index).await?;
    let mut findings = Findings::default();
    let mut after = None;
    loop {
        let Range { end, ids, different, strays } = compare::range(app, elastic, collection, index, after, None, depth).await?;
        findings.checked += ids;
        findings.strays.extend(strays);
        findings.add(settle(app, elastic, collection, index, different).await?);
        if end.is_none() {
            return Ok(findings);
        }
        after = end;
    }
}

/// Looks again at what seemed different, each time after the index has taken in what was on its way.
///
/// # Errors
/// The database's or the index's, or [`wait::Behind`].
pub async fn settle(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    mut moving: HashMap<Uuid, Sight>,
) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    for _ in 0..LOOKS {
        if moving.is_empty() {
            break;
        }
        wait::now(app, collection).await?;
        let differences;
        (differences, moving) = look_again(app, elastic, collection, index, moving).await?;
        findings.differences.extend(differences);
    }
    findings.unsettled.extend(moving.into_keys());
    Ok(findings)
}

/// Looks once more at what seemed different, and returns what does differ, and what was written meanwhile. Comes after the index has
/// taken in what was committed before the sights.
///
/// # Errors
/// The database's or the index's.
pub async fn look_again(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    before: HashMap<Uuid, Sight>,
) -> anyhow::Result<(Differences, HashMap<Uuid, Sight>)> {
    let ids: Vec<Uuid> = before.keys().copied().collect();
    let sights = compare::look(app, elastic, collection, index, &ids).await?;
    let (mut different, mut moving) = (Differences::new(), HashMap::new());
    for (id, before) in before {
        let after = sights.get(&id).copied().unwrap_or_default();
        match compare::judge(before, after) {
            Verdict::Equal => {}
            Verdict::Different(difference) => drop(different.insert(id, difference)),
            Verdict::Moving => drop(moving.insert(id, after)),
        }
    }
    Ok((different, moving))
}

/// Returns the index that lists of a collection read, if there is one.
///
/// # Errors
/// The database's.
pub async fn live(app: &App, collection: &Collection) -> anyhow::Result<Option<String>> {
    let generations = generations::all(&app.db.sync).await?;
    let live = generations.into_iter().find(|one| one.collection == collection.name && one.state == "live");
    Ok(live.map(|generation| generation.index))
}

/// Returns the documents that the index refused before, by collection.
///
/// # Errors
/// The database's.
pub async fn refused(app: &App) -> anyhow::Result<Keys> {
    let mut keys = Keys::new();
    for (name, id) in checkpoint::buried(&app.db.sync).await? {
        if let Some(collection) = collections::find(&name) {
            keys.entry(collection.name).or_default().insert(id);
        }
    }
    Ok(keys)
}

/// Leaves out what the index has refused before, and returns it: that is counted elsewhere, and tried again in its own time.
///
/// # Errors
/// The database's.
pub async fn leave_out_refused(app: &App, collection: &Collection, differences: &mut Differences) -> anyhow::Result<Vec<Uuid>> {
    if differences.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = differences.keys().copied().collect();
    let refused = checkpoint::buried_of(&app.db.sync, collection.name, Some(&ids)).await?;
    differences.retain(|id, _| !refused.contains(id));
    Ok(refused)
}
