//! Documents are corrupted, deleted and added past the sync; one sweep must find and repair all of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use collections::collections::find;
use collections::search::index;
use serde_json::json;
use uuid::Uuid;

use crate::harness::context::{Context, TRIAL};
use crate::harness::http::client::Client;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::{Server, command};
use crate::harness::verify;

/// One in so many documents is changed.
const ONE_IN: i64 = 100;
/// Documents per second of the sweep.
const RATE: &str = "20000";
const TIMEOUT: Duration = Duration::from_secs(1200);

/// Changes one per cent of the accounts' documents and waits for one whole sweep.
pub async fn measure(context: &mut Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let pool = context.sandbox.pool.clone();
    context.stop_server().await?;
    let accounts = find("accounts").context("no accounts")?;
    let alias = index::alias(&context.sandbox.elastic, accounts);
    let sql = "select id from (select id, row_number() over (order by id) as n from accounts) as a where n % $1 = 0";
    let ids: Vec<Uuid> = sqlx::query_scalar(sql).bind(ONE_IN).fetch_all(&pool).await?;
    ensure!(ids.len() >= 3, "too few accounts");
    let mut client = Client::open(&context.sandbox.raw).await?;
    let mut lines = String::new();
    for (number, id) in ids.iter().enumerate() {
        let action = match number % 3 {
            0 => format!("{}\n{}\n", json!({ "update": { "_id": id } }), json!({ "doc": { "creditor": "corrupted" } })),
            1 => format!("{}\n", json!({ "delete": { "_id": id } })),
            // A document without a row: its last bytes are inverted.
            _ => format!(
                "{}\n{}\n",
                json!({ "index": { "_id": Uuid::from_u128(id.as_u128() ^ 0xffff) } }),
                json!({ "id": Uuid::from_u128(id.as_u128() ^ 0xffff), "status": "open" })
            ),
        };
        lines.push_str(&action);
    }
    let answer =
        client.read(&context.sandbox.raw.post(&format!("/{alias}/_bulk?refresh=true&filter_path=errors"), lines)?).await?;
    ensure!(*answer == *br#"{"errors":false}"#, "the documents could not be changed: {}", String::from_utf8_lossy(&answer));

    sqlx::query("delete from sync_sweeps").execute(&pool).await?;
    let mut serve = command(context.sandbox, &["serve"]);
    serve.env("SYNC_SWEEP_RATE", RATE);
    let begin = Instant::now();
    context.server = Some(Server::run(serve, context.log).await?);
    let sql = "select last_found, last_repaired from sync_sweeps where collection = 'accounts' and last_started_at is not null";
    let (found, repaired): (i64, i64) = loop {
        if let Some(ended) = sqlx::query_as(sql).fetch_optional(&pool).await? {
            break ended;
        }
        ensure!(begin.elapsed() < TIMEOUT, "no sweep ended within {TIMEOUT:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let how = format!(
        "{} of the accounts' documents corrupted, deleted or added without a row, past the sync; one sweep at {RATE} documents/s \
         took {:.0} s.",
        ids.len(),
        begin.elapsed().as_secs_f64()
    );
    let changed = ids.len() as f64;
    Ok(vec![
        context.trial_result("drift: documents changed", "documents", changed, Goal::None, &how),
        context.trial_result("drift: found, deviation", "documents", (found as f64 - changed).abs(), Goal::AtMost(0.0), &how),
        context.trial_result(
            "drift: repaired, deviation",
            "documents",
            (repaired as f64 - changed).abs(),
            Goal::AtMost(0.0),
            &how,
        ),
        verify::differences(context, TRIAL).await?,
    ])
}
