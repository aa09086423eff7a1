//! Detects a database that went back without knowing it, for example by a copy of its disk: Elasticsearch keeps its high-water mark.

use std::time::Duration;

use anyhow::bail;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::app::App;
use crate::freshness::status::Concern;
use crate::search::{Elastic, ElasticError, high_water_mark};
use crate::sync::store::checkpoint::{self, State};
use crate::sync::store::generations;
use crate::sync::writer::write::is_outage;
use crate::values::lsn::{Epoch, Lsn, Version};

const PERIOD: Duration = Duration::from_secs(5);
/// Pause after an outage of Elasticsearch, and after a refusal.
const RETRY: Duration = Duration::from_secs(1);
const REFUSED: Duration = Duration::from_secs(60);

/// Returns the epoch of the high-water mark if the mark is ahead of what the database knew when it was last compared.
///
/// The mark is raised only to what the database has saved before, so after any crash of either the database knows as much. What it
/// has saved since says nothing: with enough writes a database that went back overtakes the mark.
///
/// # Errors
/// Elasticsearch is away: `verify` compares later.
pub async fn epoch_ahead(app: &App, elastic: &Elastic, known: &State) -> anyhow::Result<Option<Epoch>> {
    let owner = generations::owner(&app.db.sync).await?;
    let mark = match high_water_mark::read(elastic, &owner).await {
        Err(error @ ElasticError::Refused { .. }) => {
            warn!(error = %error, "cannot read the high-water mark; a database restored by a copy of its disk goes unnoticed");
            None
        }
        mark => mark?,
    };
    let since = known.unverified_since.unwrap_or(known.checkpoint.confirmed);
    let is_ahead = |mark: &Version| *mark > Version::new(known.epoch, since);
    Ok(mark.filter(is_ahead).map(Version::epoch))
}

/// Compares the high-water mark with the state that this leader began with, once Elasticsearch is back.
///
/// # Errors
/// The database has gone back: on the next start [`epoch_ahead`] says so too, and a new epoch begins.
pub(super) async fn verify(app: &App, elastic: &Elastic, lease: i64, known: &State) -> anyhow::Result<()> {
    let status = &app.watermark.status;
    loop {
        match epoch_ahead(app, elastic, known).await {
            Ok(None) => break,
            Ok(Some(_)) => bail!("the index has seen later changes: the database has gone back in time"),
            Err(fault) if is_outage(&fault) => {
                let problem = format!("cannot tell yet whether the database has gone back: {fault:#}");
                status.report_problem(Concern::HighWaterMark, problem);
            }
            Err(fault) => return Err(fault),
        }
        sleep(RETRY).await;
    }
    checkpoint::end_unverified(&app.db.sync, lease).await?;
    status.solve(Concern::HighWaterMark);
    info!("the database has not gone back while elasticsearch was away");
    Ok(())
}

/// Raises the high-water mark every few seconds: to `from` at first, then to whatever is saved.
///
/// # Errors
/// The mark is ahead already: on the next start [`epoch_ahead`] tells why.
pub(super) async fn keep_raising(
    app: &App,
    elastic: &Elastic,
    epoch: Epoch,
    from: Lsn,
    saved: &watch::Sender<Lsn>,
) -> anyhow::Result<()> {
    let owner = generations::owner(&app.db.sync).await?;
    loop {
        let position = from.max(*saved.borrow());
        let pause = match high_water_mark::raise(elastic, &owner, Version::new(epoch, position)).await {
            Ok(true) => PERIOD,
            Ok(false) => bail!("the index has seen later changes: another process leads, or the database has gone back in time"),
            Err(error) if error.is_outage() => {
                debug!(error = %error, "cannot raise the high-water mark");
                sleep(RETRY).await;
                continue;
            }
            Err(error) => {
                warn!(error = %error, "cannot raise the high-water mark; a database restored by a copy of its disk goes unnoticed");
                REFUSED
            }
        };
        sleep(pause).await;
    }
}
