//! The removal of the rows of old imports, which hold personal data; what was imported, and when, stays.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::imports::store::KEPT;
use crate::jobs::{Chunk, Kind, Lane, Next};

/// Rows removed in one transaction.
const BATCH: i64 = 5_000;

/// Removes the rows of imports that can no longer be undone.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RemoveOldRows {}

impl Kind for RemoveOldRows {
    const NAME: &'static str = "remove_old_import_rows";
    const LANE: Lane = Lane::Upkeep;
    type Cursor = ();

    async fn run(&self, (): (), chunk: &mut Chunk<'_>) -> Result<Next<()>> {
        let removed = sqlx::query!(
            r#"
            delete from import_rows
            where (import_id, number) in (
              select r.import_id, r.number
              from imports i
              join import_rows r on r.import_id = i.id
              where greatest(i.created_at, i.committed_at) < $1
              limit $2
            )
            "#,
            chunk.app.clock.now() - KEPT,
            BATCH,
        );
        let removed = i64::try_from(removed.execute(&mut *chunk.connection).await?.rows_affected()).unwrap_or(BATCH);
        chunk.succeed(removed);
        Ok(if removed < BATCH { Next::Finished } else { Next::Chunk(()) })
    }
}
