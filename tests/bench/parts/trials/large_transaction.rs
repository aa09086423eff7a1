//! One transaction with very many rows: memory of the server.

use std::time::{Duration, Instant};

use crate::harness::context::{Context, TRIAL};
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::{catch_up, verify};

/// Inserts so many payments in one transaction and samples memory until all are searchable.
pub async fn measure(context: &mut Context<'_>, rows: u64) -> anyhow::Result<Vec<Measure>> {
    let pool = context.sandbox.pool.clone();
    let idle = context.server()?.memory()?;
    let begin = Instant::now();
    let sql = "
        insert into payments (id, amount, currency, method, status, received_at)
        select uuidv7(), 100, 'EUR', 'cash', 'pending', now() from generate_series(1, $1::bigint)";
    let load = async {
        sqlx::query(sql).bind(i64::try_from(rows)?).execute(&pool).await?;
        let committed = begin.elapsed();
        catch_up::wait(&pool).await?;
        anyhow::Ok(committed)
    };
    let mut memory = idle;
    tokio::pin!(load);
    let committed = loop {
        tokio::select! {
            loaded = &mut load => break loaded?,
            () = tokio::time::sleep(Duration::from_millis(250)) => memory = memory.max(context.server()?.memory()?),
        }
    };
    let elapsed = begin.elapsed().saturating_sub(committed).as_secs_f64();
    let how = format!(
        "{rows} payments inserted in one transaction, which took {:.0} s; all were searchable {elapsed:.0} s later. \
         {idle:.0} MB before, {memory:.0} MB at most.",
        committed.as_secs_f64()
    );
    Ok(vec![
        context.trial_result(
            &format!("transaction of {rows} rows: memory above idle"),
            "MB",
            memory - idle,
            Goal::AtMost(150.0),
            &how,
        ),
        context.trial_result("the same: documents", "documents/s", rows as f64 / elapsed, Goal::None, &how),
        verify::differences(context, TRIAL).await?,
    ])
}
