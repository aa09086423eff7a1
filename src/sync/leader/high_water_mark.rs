//! Detects a database that went back without knowing it, for example by a copy of its disk: Elasticsearch keeps its high-water mark.

use std::time::Duration;

use anyhow::bail;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::app::App;
use crate::search::{Elastic, high_water_mark};
use crate::sync::store::checkpoint::State;
use crate::sync::store::generations;
use crate::values::lsn::{Epoch, Lsn, Version};

const PERIOD: Duration = Duration::from_secs(5);
/// Pause after an outage of Elasticsearch, and after a refusal.
const RETRY: Duration = Duration::from_secs(1);
const REFUSED: Duration = Duration::from_secs(60);

/// Returns the epoch of the high-water mark if the mark is ahead of what the database knows of itself.
///
/// The mark is raised only to what the database has saved before, so after any crash of either the database knows as much. While
/// Elasticsearch is away the mark is unknown: [`keep_raising`] notices later.
pub async fn epoch_ahead(app: &App, elastic: &Elastic, known: &State) -> anyhow::Result<Option<Epoch>> {
    let owner = generations::owner(&app.db.sync).await?;
    let mark = match high_water_mark::read(elastic, &owner).await {
        Ok(mark) => mark,
        Err(error) => {
            debug!(error = %error, "cannot read the high-water mark");
            None
        }
    };
    let is_ahead = |mark: &Version| *mark > Version::new(known.epoch, known.checkpoint.confirmed);
    Ok(mark.filter(is_ahead).map(Version::epoch))
}

/// Raises the high-water mark every few seconds: to `from` at first, then to whatever is saved. Certain that the database has not gone
/// back once that has succeeded.
///
/// # Errors
/// The mark is ahead already: on the next start [`epoch_ahead`] tells why.
pub async fn keep_raising(
    app: &App,
    elastic: &Elastic,
    epoch: Epoch,
    from: Lsn,
    saved: &watch::Sender<Lsn>,
    is_certain: &watch::Sender<bool>,
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
        is_certain.send_if_modified(|is_certain| !std::mem::replace(is_certain, true));
        sleep(pause).await;
    }
}
