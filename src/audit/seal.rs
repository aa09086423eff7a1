//! The sealer: chains new entries in the background, a batch to a link.

use std::time::Duration;

use chrono::SubsecRound;
use sqlx::{PgConnection, PgPool};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Keys;
use super::chain::{HASH, Head, Seal, Stored};
use crate::error::Result;
use crate::values::clock::Clock;

/// How long an entry is unsealed, if nothing else holds it up: until then it could be changed unnoticed.
const INTERVAL: Duration = Duration::from_secs(1);
/// Entries of one link.
const AT_ONCE: i64 = 1_000;
/// How often the head is logged: it is an anchor wherever the log is shipped to.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(600);

/// Seals what is new until it is stopped; logs the head at intervals and at the end.
pub async fn run(db: &PgPool, keys: &Keys, clock: &Clock, stop: &CancellationToken) -> Result<()> {
    let (mut known, mut logged) = (None, None);
    let mut anchored = Instant::now();
    loop {
        if let Some(head) = &known
            && !is_there(db, head).await?
        {
            tracing::error!(%head, "the audit log was changed: this head is no longer in it");
            known = super::head(db).await?;
        }
        if let Some(head) = seal(db, keys, clock).await? {
            known = Some(head);
        }
        let is_last = stop.is_cancelled();
        if logged != known && (is_last || logged.is_none() || anchored.elapsed() >= ANCHOR_INTERVAL) {
            if let Some(head) = &known {
                tracing::info!(%head, "the audit log is sealed");
            }
            (anchored, logged) = (Instant::now(), known.clone());
        }
        if is_last {
            return Ok(());
        }
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Whether a head is still in the chain: the end may have been cut off or rewritten, which [`super::verify`] cannot see without it.
async fn is_there(db: &PgPool, head: &Head) -> Result<bool> {
    let found = sqlx::query_scalar!("select hash from audit_seals where number = $1", head.number).fetch_optional(db).await?;
    Ok(found.as_ref() == Some(&head.hash))
}

/// Seals all entries of finished transactions; returns the new head, none if nothing was new or another process is sealing.
pub async fn seal(db: &PgPool, keys: &Keys, clock: &Clock) -> Result<Option<Head>> {
    let mut head = None;
    loop {
        let mut transaction = db.begin().await?;
        match seal_batch(&mut transaction, keys, clock).await? {
            Some(next) => head = Some(next),
            None => return Ok(head),
        }
        transaction.commit().await?;
    }
}

async fn seal_batch(connection: &mut PgConnection, keys: &Keys, clock: &Clock) -> Result<Option<Head>> {
    let is_ours =
        sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock(hashtextextended('collections audit', 0)) as "is_ours!""#)
            .fetch_one(&mut *connection)
            .await?;
    if !is_ours {
        return Ok(None);
    }
    let last = sqlx::query!(
        r#"
        select number, last_xid::text as "last_xid!", last_id, hash,
          last_xid >= pg_snapshot_xmax(pg_current_snapshot()) as "is_ahead!"
        from audit_seals
        order by number desc
        limit 1
        "#,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if last.as_ref().is_some_and(|last| last.is_ahead) {
        tracing::error!(
            "the audit log cannot be sealed: the numbers of transactions have gone back, as after a restore of a dump"
        );
        return Ok(None);
    }
    let (number, last_xid, last_id, previous) = last
        .map_or_else(|| (1, "0".to_owned(), 0, vec![0; HASH]), |last| (last.number + 1, last.last_xid, last.last_id, last.hash));
    let entries = unsealed(connection, &last_xid, last_id).await?;
    let Some(last) = entries.last() else { return Ok(None) };
    let seal = Seal {
        number,
        // As it is stored.
        sealed_at: clock.now().trunc_subsecs(3),
        last_xid: last.xid.clone(),
        last_id: last.id,
        entries: entries.iter().map(|entry| entry.id).collect(),
        digests: entries.iter().flat_map(Stored::digest).collect(),
        previous,
    };
    let hash = seal.hash();
    sqlx::query!(
        r#"
        insert into audit_seals (number, sealed_at, last_xid, last_id, entries, digests, previous, hash, signature)
        values ($1, $2, cast($3::text as xid8), $4, $5, $6, $7, $8, $9)
        "#,
        seal.number,
        seal.sealed_at,
        seal.last_xid,
        seal.last_id,
        &seal.entries,
        seal.digests,
        seal.previous,
        hash,
        keys.sign(&hash),
    )
    .execute(connection)
    .await?;
    Ok(Some(Head { number, hash }))
}

/// Entries behind a place in the order of the chain. Of transactions before all that still run, so that none can follow that would
/// have come before them.
async fn unsealed(connection: &mut PgConnection, last_xid: &str, last_id: i64) -> Result<Vec<Stored>> {
    let entries = sqlx::query_as!(
        Stored,
        r#"
        select id, xid::text as "xid!", at, actor::text, login, request, action, kind, subject::text, details::text
        from audit_log
        where (xid, id) > (cast($1::text as xid8), $2)
        and xid < pg_snapshot_xmin(pg_current_snapshot())
        order by xid, id
        limit $3
        "#,
        last_xid,
        last_id,
        AT_ONCE,
    );
    Ok(entries.fetch_all(connection).await?)
}
