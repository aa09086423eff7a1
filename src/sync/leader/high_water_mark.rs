//! Notices a database that went back without saying so, such as one put back by a copy of its disk: the index has been told how far
//! it was.

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

/// How often the index is told how far the database is.
const PERIOD: Duration = Duration::from_secs(5);
/// How soon one that was away, and one that would not hear of it.
const RETRY: Duration = Duration::from_secs(1);
const REFUSED: Duration = Duration::from_secs(60);

/// Returns the epoch that the index knows of, if the database was further in it than it knows itself.
///
/// What the index is told was remembered by the database before, so after any crash of either the database knows as much. An index
/// that is away says nothing: [`tell`] finds out when it is back.
///
/// # Errors
/// The database's.
pub async fn beyond(app: &App, elastic: &Elastic, known: &State) -> anyhow::Result<Option<Epoch>> {
    let owner = generations::owner(&app.db.sync).await?;
    let told = match high_water_mark::read(elastic, &owner).await {
        Ok(told) => told,
        Err(error) => {
            debug!(error = %error, "the index does not say how far it is");
            None
        }
    };
    let is_beyond = |told: &Version| *told > Version::new(known.epoch, known.standing.confirmed);
    Ok(told.filter(is_beyond).map(Version::epoch))
}

/// Tells the index, now and then, how far the database is: as far as it was `from` the start, and whatever is saved since.
///
/// # Errors
/// The database's, or the index knows better: to start again is to look at [`beyond`].
pub async fn tell(app: &App, elastic: &Elastic, epoch: Epoch, from: Lsn, saved: &watch::Sender<Lsn>) -> anyhow::Result<()> {
    let owner = generations::owner(&app.db.sync).await?;
    let mut pause = PERIOD;
    loop {
        sleep(pause).await;
        let position = from.max(*saved.borrow());
        pause = match high_water_mark::raise(elastic, &owner, Version::new(epoch, position)).await {
            Ok(true) => PERIOD,
            Ok(false) => bail!("the index has seen later changes: another process leads, or the database has gone back in time"),
            Err(error) if error.is_outage() => {
                debug!(error = %error, "the index cannot be told how far the database is");
                RETRY
            }
            Err(error) => {
                warn!(error = %error, "the index takes no note of how far the database is: a disk put back would not be noticed");
                REFUSED
            }
        }
    }
}
