//! Notices an index that has lost what it had acknowledged.
//!
//! It was restored from a snapshot, its disk was put back, or a shard was allocated from a stale copy. Nothing in it tells which
//! documents are old, so it is given up.

use std::sync::Once;

use tracing::{error, warn};

use crate::app::App;
use crate::search::shard_checkpoints;
use crate::sync::store::generations::{self, Generation};
use crate::sync::writer::Writer;

/// That they cannot be looked at is said once.
static SAID: Once = Once::new();

/// Looks how far every index is and remembers it. Gives up those that were further, and says whether there was one.
///
/// One that is being built is given up once it is live: until then what is remembered of it stays.
///
/// # Errors
/// The index's or the database's.
pub async fn look(app: &App, writer: &Writer, generations: &[Generation]) -> anyhow::Result<bool> {
    let names: Vec<&str> = generations.iter().map(|one| one.index.as_str()).collect();
    let histories = match shard_checkpoints::read(&writer.elastic, &names).await {
        Err(error) if !error.is_outage() => {
            SAID.call_once(|| warn!(error = %error, "indices do not say how far they are: one put back would be noticed late"));
            return Ok(false);
        }
        histories => histories?,
    };
    let mut is_any_lost = false;
    for generation in generations {
        let Some(now) = histories.get(&generation.index) else { continue };
        let before = generation.history.as_deref().cloned().unwrap_or_default();
        if !before.is_broken_in(now) {
            let next = before.clone().continued(now);
            if next != before {
                generations::remember(&app.db.sync, &generation.index, &next).await?;
            }
        } else if generation.state != "building" {
            let (collection, index) = (&generation.collection, &generation.index);
            error!(collection, index, "an index has lost what it had acknowledged; it is given up and built anew");
            writer.remove(index);
            generations::give_up(&app.db.sync, index).await?;
            is_any_lost = true;
        }
    }
    Ok(is_any_lost)
}
