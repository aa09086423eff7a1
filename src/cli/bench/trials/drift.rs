//! Documents are corrupted, removed and raised from the dead behind the sync's back: all are found and repaired by itself.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;
use uuid::Uuid;

use super::{ID, row};
use crate::cli::bench::client::Link;
use crate::cli::bench::report::{Goal, Measure};
use crate::cli::bench::server::{Server, command};
use crate::cli::bench::{Scene, truth};
use crate::collections;
use crate::search::index;

/// Every so many documents one is hit.
const ONE_IN: i64 = 100;
/// Documents that the sweep looks at per second.
const RATE: &str = "20000";
const PATIENCE: Duration = Duration::from_secs(1200);

/// Hits one per cent of the accounts and waits for one whole cycle.
pub(in super::super) async fn measure(scene: &mut Scene<'_>) -> anyhow::Result<Vec<Measure>> {
    let pool = scene.stage.pool.clone();
    scene.stop_server().await?;
    let accounts = collections::find("accounts").context("no accounts")?;
    let alias = index::alias(&scene.stage.elastic, accounts);
    let sql = "select id from (select id, row_number() over (order by id) as n from accounts) as a where n % $1 = 0";
    let ids: Vec<Uuid> = sqlx::query_scalar(sql).bind(ONE_IN).fetch_all(&pool).await?;
    ensure!(ids.len() >= 3, "too few accounts");
    let mut link = Link::open(&scene.stage.raw).await?;
    let mut lines = String::new();
    for (number, id) in ids.iter().enumerate() {
        let action = match number % 3 {
            0 => format!("{}\n{}\n", json!({ "update": { "_id": id } }), json!({ "doc": { "creditor": "corrupted" } })),
            1 => format!("{}\n", json!({ "delete": { "_id": id } })),
            // A document whose row is long gone: its last bytes are turned around.
            _ => format!(
                "{}\n{}\n",
                json!({ "index": { "_id": Uuid::from_u128(id.as_u128() ^ 0xffff) } }),
                json!({ "id": Uuid::from_u128(id.as_u128() ^ 0xffff), "status": "open" })
            ),
        };
        lines.push_str(&action);
    }
    let answer = link.read(&scene.stage.raw.post(&format!("/{alias}/_bulk?refresh=true&filter_path=errors"), lines)?).await?;
    ensure!(*answer == *br#"{"errors":false}"#, "the documents could not be hit: {}", String::from_utf8_lossy(&answer));

    sqlx::query("delete from sync_sweeps").execute(&pool).await?;
    let mut serve = command(scene.stage, &["serve"])?;
    serve.env("SYNC_SWEEP_RATE", RATE);
    let begin = Instant::now();
    scene.server = Some(Server::run(serve, scene.log).await?);
    // From the start, so that all of it is found in one cycle.
    let sql = "select last_found, last_repaired from sync_sweeps where collection = 'accounts' and last_started_at is not null";
    let (found, repaired): (i64, i64) = loop {
        if let Some(ended) = sqlx::query_as(sql).fetch_optional(&pool).await? {
            break ended;
        }
        ensure!(begin.elapsed() < PATIENCE, "no cycle ends within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let how = format!(
        "{} of the accounts' documents corrupted, deleted or added without a row, past the sync; one cycle at {RATE} documents/s took {:.0} s.",
        ids.len(),
        begin.elapsed().as_secs_f64()
    );
    let hit = ids.len() as f64;
    Ok(vec![
        row(scene, "drift: documents hit", "documents", hit, Goal::None, &how),
        row(
            scene,
            "drift: found within a cycle, too many or too few",
            "documents",
            (found as f64 - hit).abs(),
            Goal::AtMost(0.0),
            &how,
        ),
        row(scene, "drift: repaired, too many or too few", "documents", (repaired as f64 - hit).abs(), Goal::AtMost(0.0), &how),
        truth::differences(scene, ID).await?,
    ])
}
