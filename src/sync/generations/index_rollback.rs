//! Detects an index that has lost acknowledged writes: restored from a snapshot, on a disk that was put back, or allocated from a
//! stale copy.
//!
//! Nothing in such an index tells which documents are old. The sweep would repair them one by one, and lists would be wrong for
//! minutes to hours; shard checkpoints show it within seconds, and Postgres answers until another index is built.

use std::sync::Once;

use tracing::{error, warn};

use crate::app::App;
use crate::search::shard_checkpoints;
use crate::sync::store::generations::{self, Generation, State};
use crate::sync::writer::Writer;

static UNREADABLE_LOGGED: Once = Once::new();

/// Records each index's shard checkpoints; retires an index that moved backwards. Returns true if one was retired.
///
/// An index that is being built keeps its checkpoints and is retired once it is live.
pub async fn detect_index_rollback(app: &App, writer: &Writer, generations: &[Generation]) -> anyhow::Result<bool> {
    let names: Vec<&str> = generations.iter().map(|one| one.index.as_str()).collect();
    let checkpoints = match shard_checkpoints::read(&writer.elastic, &names).await {
        Err(error) if !error.is_outage() => {
            UNREADABLE_LOGGED.call_once(
                || warn!(error = %error, "cannot read shard checkpoints; a restored index is noticed by the sweep only"),
            );
            return Ok(false);
        }
        checkpoints => checkpoints?,
    };
    let mut is_any_retired = false;
    for generation in generations {
        let Some(now) = checkpoints.get(&generation.index) else { continue };
        let before = generation.shard_checkpoints.as_deref().cloned().unwrap_or_default();
        if !before.has_lost(now) {
            let updated = before.clone().updated(now);
            if updated != before {
                generations::save_shard_checkpoints(&app.db.sync, &generation.index, &updated).await?;
            }
        } else if generation.state != State::Building {
            let (collection, index) = (&generation.collection, &generation.index);
            error!(collection, index, "index has lost acknowledged writes; rebuilding it");
            writer.remove_index(index);
            generations::discard(&app.db.sync, index).await?;
            is_any_retired = true;
        }
    }
    Ok(is_any_retired)
}
