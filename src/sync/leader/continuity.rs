//! Whether the index goes on from the checkpoint. Where LSNs may have gone back, or changes were missed, a new epoch begins.

use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use sqlx::PgPool;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::high_water_mark;
use crate::app::App;
use crate::freshness::Reached;
use crate::search::Elastic;
use crate::sync::store::checkpoint::{self, Checkpoint, State};
use crate::sync::stream::publication;
use crate::sync::stream::source::Opened;
use crate::sync::writer::write::is_outage;
use crate::values::lsn::Epoch;

/// How often the catalogue is read.
const PERIOD: Duration = Duration::from_secs(3);

/// Ensures that every change is published from now on.
///
/// # Errors
/// Something is missing and cannot be restored; says what an operator has to run.
pub(super) async fn ensure_published(app: &App, lease: i64) -> anyhow::Result<()> {
    let pool = &app.db.sync;
    let found = publication::read(pool).await.context("cannot read the publication")?;
    if found.faults.is_empty() {
        return Ok(());
    }
    checkpoint::forget_publication(pool, lease).await?;
    let faults = found.faults.join("; ");
    restore(pool)
        .await
        .with_context(|| format!("changes are missed: {faults}; as the owner of the schema run `select restore_searchable()`"))?;
    warn!(faults, "restored what the change stream relies on; changes were missed");
    Ok(())
}

async fn restore(pool: &PgPool) -> anyhow::Result<()> {
    publication::restore(pool).await.map_err(|error| match error.as_database_error() {
        Some(cause) => anyhow!("{}", cause.message()),
        None => error.into(),
    })?;
    let left = publication::read(pool).await?.faults;
    ensure!(left.is_empty(), "that leaves: {}", left.join("; "));
    Ok(())
}

/// Watches the publication until something of it changes.
///
/// # Errors
/// Always, in the end: the next start restores it and begins a new epoch.
pub(super) async fn watch_publication(app: &App, lease: i64) -> anyhow::Result<()> {
    let pool = &app.db.sync;
    loop {
        sleep(PERIOD).await;
        let found = match publication::read(pool).await {
            Ok(found) => found,
            Err(error) => {
                debug!(%error, "cannot read the publication");
                continue;
            }
        };
        if found.is_followed() && found.faults.is_empty() {
            continue;
        }
        // Now, as an operator may have repaired it before the next start.
        checkpoint::forget_publication(pool, lease).await?;
        match found.faults.as_slice() {
            [] => bail!("the publication was dropped and created again; changes in between are missed"),
            faults => bail!("changes are missed: {}", faults.join("; ")),
        }
    }
}

/// Returns the state from which this leader goes on, in a new epoch if need be.
pub(super) async fn resume(app: &App, elastic: &Elastic, lease: i64, opened: &mut Opened) -> anyhow::Result<State> {
    let pool = &app.db.sync;
    let mut known = checkpoint::read(pool).await?;
    let published = publication::read(pool).await?;
    let has_missed = !published.is_followed();
    let discontinuity = match &known.origin {
        None => Some("this is the first start"),
        Some(before) if *before != opened.origin => Some("the database is another one, or was restored or failed over"),
        Some(_) if opened.is_new => Some("the replication slot was missing or lost"),
        Some(_) if has_missed => Some("the publication or what it relies on was changed, so that changes were missed"),
        Some(_) if opened.confirmed > known.checkpoint.confirmed => Some("another program has moved the replication slot"),
        Some(_) => None,
    };
    if known.origin.is_some() && has_missed && !opened.is_new {
        opened.confirmed = opened.source.skip(app).await?;
    }
    let start_epoch = async |known: State, epoch: Epoch, reason: &str| {
        warn!(reason, "rebuilding every index; until then postgres answers lists");
        let confirmed = opened.confirmed;
        checkpoint::start_epoch(pool, lease, &opened.origin, &published.identity, epoch, confirmed).await?;
        app.watermark.advance(epoch, Reached::default());
        let checkpoint = Checkpoint { confirmed, searchable: confirmed, ..Checkpoint::default() };
        anyhow::Ok(State { epoch, checkpoint, publication: Some(published.identity.clone()), unverified_since: None, ..known })
    };
    if let Some(reason) = discontinuity {
        let epoch = if known.origin.is_some() { known.epoch.next() } else { known.epoch };
        known = start_epoch(known, epoch, reason).await?;
    }
    match high_water_mark::epoch_ahead(app, elastic, &known).await {
        Ok(Some(ahead)) => {
            start_epoch(known, ahead.next(), "the database has gone back in time: the index has seen later changes").await
        }
        Ok(None) => {
            checkpoint::end_unverified(pool, lease).await?;
            Ok(State { unverified_since: None, ..known })
        }
        Err(fault) if is_outage(&fault) => {
            checkpoint::begin_unverified(pool, lease).await?;
            let since = known.unverified_since.unwrap_or(known.checkpoint.confirmed);
            Ok(State { unverified_since: Some(since), ..known })
        }
        Err(fault) => Err(fault),
    }
}
