//! One transaction with very many rows: what the server holds of it in memory.

use std::time::{Duration, Instant};

use super::{ID, row};
use crate::cli::bench::report::{Goal, Measure};
use crate::cli::bench::{Scene, backlog, truth};

/// Inserts so many rows in one transaction and watches the server's memory until all of them are in the index.
pub(in super::super) async fn measure(scene: &mut Scene<'_>, rows: u64) -> anyhow::Result<Vec<Measure>> {
    let pool = scene.stage.pool.clone();
    let idle = scene.server()?.memory()?;
    let begin = Instant::now();
    let sql = "
        insert into payments (id, amount, currency, method, status, received_at)
        select uuidv7(), 100, 'EUR', 'cash', 'pending', now() from generate_series(1, $1::bigint)";
    let load = async {
        sqlx::query(sql).bind(i64::try_from(rows)?).execute(&pool).await?;
        let committed = begin.elapsed();
        backlog::caught_up(&pool).await?;
        anyhow::Ok(committed)
    };
    let mut memory = idle;
    tokio::pin!(load);
    let committed = loop {
        tokio::select! {
            loaded = &mut load => break loaded?,
            () = tokio::time::sleep(Duration::from_millis(250)) => memory = memory.max(scene.server()?.memory()?),
        }
    };
    let elapsed = begin.elapsed().saturating_sub(committed).as_secs_f64();
    let how = format!(
        "{rows} payments inserted in one transaction, which took {:.0} s; {elapsed:.0} s later all could be found. \
         {idle:.0} MB before, {memory:.0} MB at most.",
        committed.as_secs_f64()
    );
    Ok(vec![
        row(scene, &format!("a transaction of {rows} rows: memory above idle"), "MB", memory - idle, Goal::AtMost(150.0), &how),
        row(scene, "the same: documents", "documents/s", rows as f64 / elapsed, Goal::None, &how),
        truth::differences(scene, ID).await?,
    ])
}
