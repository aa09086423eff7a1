//! The removal of the rows of old imports, which hold personal data, and of old imports without a commit. Of the others stays what was
//! imported, and when.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::imports::store::KEPT;
use crate::jobs::{Chunk, Kind, Lane, Next};

/// Rows removed in one transaction.
const BATCH: i64 = 5_000;

/// Removes the rows of imports that can no longer be undone, then the imports that were never committed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RemoveOldRows {}

impl Kind for RemoveOldRows {
    const NAME: &'static str = "remove_old_import_rows";
    const LANE: Lane = Lane::Upkeep;
    type Cursor = ();

    async fn run(&self, (): (), chunk: &mut Chunk<'_>) -> Result<Next<()>> {
        let before = chunk.app.clock.now() - KEPT;
        let rows = sqlx::query!(
            r#"
            delete from import_rows
            where (import_id, number) in (
              select r.import_id, r.number
              from imports i
              join import_rows r on r.import_id = i.id
              where greatest(i.created_at, i.committed_at) < $1
              and not exists (select from jobs j where j.id = i.job_id and j.finished_at is null)
              limit $2
            )
            "#,
            before,
            BATCH,
        );
        let rows = rows.execute(&mut *chunk.connection).await?.rows_affected();
        // Their files have expired.
        let imports = sqlx::query!(
            r#"
            delete from imports
            where id in (
              select id
              from imports i
              where i.committed_at is null
              and i.created_at < $1
              and not exists (select from jobs j where j.id = i.job_id and j.finished_at is null)
              and not exists (select from import_rows r where r.import_id = i.id)
              limit $2
              for update skip locked
            )
            "#,
            before,
            BATCH,
        );
        let imports = imports.execute(&mut *chunk.connection).await?.rows_affected();
        Ok(chunk.removed(rows.max(imports), BATCH))
    }
}
