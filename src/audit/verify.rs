//! Verifies the log: computes the chain again, and names the first entry or seal that is not as it was.

use std::collections::HashSet;

use sqlx::PgPool;

use super::Keys;
use super::chain::{HASH, Head, Seal, Stored};
use crate::error::Result;

/// Seals that are read at once.
const PAGE: i64 = 100;

/// What is wrong, at its first place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("entry {entry} (seal {seal}) was edited")]
    Edited { seal: i64, entry: i64 },
    #[error("entry {entry} (seal {seal}) has the contents of another entry: they were swapped")]
    Swapped { seal: i64, entry: i64 },
    #[error("entry {entry} (seal {seal}) was deleted")]
    Deleted { seal: i64, entry: i64 },
    #[error("entry {entry} was inserted later, among the entries of seal {seal}")]
    Inserted { seal: i64, entry: i64 },
    #[error("seal {0} was edited")]
    SealEdited(i64),
    #[error("seal {0} was deleted")]
    SealDeleted(i64),
    #[error("seal {0} does not follow from the one before: that one was replaced")]
    SealReplaced(i64),
    #[error("seal {0}, the newest, is not signed with this server's secret: the chain was rewritten, or the secret has changed")]
    Unsigned(i64),
    #[error("seal {0} is not the one of the given head: the chain was rewritten")]
    Rewritten(i64),
    #[error("the chain ends before seal {0}, the given head: its end was cut off")]
    Truncated(i64),
    #[error("the triggers of {0} are missing or disabled: its changes are not logged, or the log can be changed")]
    Unguarded(String),
}

#[derive(Debug, Default)]
pub struct Report {
    /// Entries that are as they were sealed.
    pub entries: usize,
    /// Entries that wait to be sealed.
    pub unsealed: i64,
    pub head: Option<Head>,
    pub fault: Option<Fault>,
}

struct Row {
    number: i64,
    sealed_at: chrono::DateTime<chrono::Utc>,
    last_xid: String,
    last_id: i64,
    entries: Vec<i64>,
    digests: Vec<u8>,
    previous: Vec<u8>,
    hash: Vec<u8>,
    signature: Vec<u8>,
}

/// Returns the newest seal.
pub async fn head(db: &PgPool) -> Result<Option<Head>> {
    let head = sqlx::query_as!(Head, "select number, hash from audit_seals order by number desc limit 1");
    Ok(head.fetch_optional(db).await?)
}

/// Verifies the whole log. `anchor` is a head that was kept elsewhere.
pub async fn verify(db: &PgPool, keys: &Keys, anchor: Option<&Head>) -> Result<Report> {
    let mut report = Report::default();
    let (mut last_xid, mut last_id) = ("0".to_owned(), 0);
    let mut newest: Option<Row> = None;
    loop {
        let page = seals(db, newest.as_ref().map_or(i64::MIN, |row| row.number)).await?;
        if page.is_empty() {
            break;
        }
        for row in page {
            report.fault = check_seal(newest.as_ref(), &row, anchor);
            if report.fault.is_none() {
                let stored = stored(db, (&last_xid, last_id), (&row.last_xid, row.last_id)).await?;
                report.fault = check_entries(&row, &stored);
            }
            if report.fault.is_some() {
                return Ok(report);
            }
            report.entries += row.entries.len();
            (last_xid, last_id) = (row.last_xid.clone(), row.last_id);
            report.head = Some(Head { number: row.number, hash: row.hash.clone() });
            newest = Some(row);
        }
    }
    report.unsealed = unsealed(db, &last_xid, last_id).await?;
    report.fault = check_end(newest.as_ref(), keys, anchor);
    if report.fault.is_none() {
        report.fault = unguarded(db).await?.map(Fault::Unguarded);
    }
    Ok(report)
}

fn check_seal(before: Option<&Row>, row: &Row, anchor: Option<&Head>) -> Option<Fault> {
    let expected = before.map_or(1, |before| before.number + 1);
    if row.number != expected {
        return Some(Fault::SealDeleted(expected));
    }
    let seal = Seal {
        number: row.number,
        sealed_at: row.sealed_at,
        last_xid: row.last_xid.clone(),
        last_id: row.last_id,
        entries: row.entries.clone(),
        digests: row.digests.clone(),
        previous: row.previous.clone(),
    };
    if seal.hash() != row.hash || row.digests.len() != row.entries.len() * HASH {
        return Some(Fault::SealEdited(row.number));
    }
    if before.map_or(&vec![0; HASH], |before| &before.hash) != &row.previous {
        return Some(Fault::SealReplaced(row.number));
    }
    anchor.filter(|anchor| anchor.number == row.number && anchor.hash != row.hash).map(|anchor| Fault::Rewritten(anchor.number))
}

/// Compares the entries that are there with those that were sealed, both in the order of the chain.
fn check_entries(row: &Row, stored: &[Stored]) -> Option<Fault> {
    let seal = row.number;
    let sealed: HashSet<i64> = row.entries.iter().copied().collect();
    let mut stored = stored.iter().peekable();
    for (entry, digest) in row.entries.iter().copied().zip(row.digests.chunks(HASH)) {
        let Some(found) = stored.next_if(|found| found.id == entry) else {
            let inserted = stored.peek().filter(|found| !sealed.contains(&found.id));
            return Some(match inserted {
                Some(found) => Fault::Inserted { seal, entry: found.id },
                None => Fault::Deleted { seal, entry },
            });
        };
        let found = found.digest();
        if found != digest {
            let is_swapped = row.digests.chunks(HASH).any(|other| other == found);
            return Some(if is_swapped { Fault::Swapped { seal, entry } } else { Fault::Edited { seal, entry } });
        }
    }
    stored.next().map(|found| Fault::Inserted { seal, entry: found.id })
}

/// The signature of the newest seal vouches for all before it.
fn check_end(newest: Option<&Row>, keys: &Keys, anchor: Option<&Head>) -> Option<Fault> {
    let unsigned = newest.filter(|row| !keys.signed(&row.hash, &row.signature));
    if let Some(row) = unsigned {
        return Some(Fault::Unsigned(row.number));
    }
    let end = newest.map_or(0, |row| row.number);
    anchor.filter(|anchor| anchor.number > end).map(|anchor| Fault::Truncated(anchor.number))
}

async fn seals(db: &PgPool, after: i64) -> Result<Vec<Row>> {
    let seals = sqlx::query_as!(
        Row,
        r#"
        select number, sealed_at, last_xid::text as "last_xid!", last_id, entries, digests, previous, hash, signature
        from audit_seals
        where number > $1
        order by number
        limit $2
        "#,
        after,
        PAGE,
    );
    Ok(seals.fetch_all(db).await?)
}

/// The entries from behind one place in the order of the chain up to another.
async fn stored(db: &PgPool, from: (&str, i64), to: (&str, i64)) -> Result<Vec<Stored>> {
    let entries = sqlx::query_as!(
        Stored,
        r#"
        select id, xid::text as "xid!", at, actor::text, login, request, action, kind, subject::text, details::text
        from audit_log
        where (xid, id) > (cast($1::text as xid8), $2)
        and (xid, id) <= (cast($3::text as xid8), $4)
        order by xid, id
        "#,
        from.0,
        from.1,
        to.0,
        to.1,
    );
    Ok(entries.fetch_all(db).await?)
}

async fn unsealed(db: &PgPool, last_xid: &str, last_id: i64) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from audit_log where (xid, id) > (cast($1::text as xid8), $2)"#,
        last_xid,
        last_id,
    );
    Ok(count.fetch_one(db).await?)
}

/// A table that lacks a trigger which logs its changes, or keeps the log from being changed.
async fn unguarded(db: &PgPool) -> Result<Option<String>> {
    let table = sqlx::query_scalar!(
        r#"
        select name as "name!"
        from audited_tables
        cross join unnest(array['insert', 'update', 'delete', 'truncate']) as event
        where not fires_trigger(name, name || '_audit_' || event)
        union all
        select name
        from unnest(array['audit_log', 'audit_seals']) as name
        where not fires_trigger(name, name || '_append_only')
        limit 1
        "#,
    );
    Ok(table.fetch_optional(db).await?)
}
