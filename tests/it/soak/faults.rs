//! The faults that are injected.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::Connection;
use tokio::time::{sleep, timeout};

use super::stage::Stage;
use crate::harness::dice::Dice;
use crate::harness::proxy::Mode;

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Kill,
    KillAll,
    Freeze,
    PostgresCrash,
    SearchRefuses,
    SearchHangs,
    SearchAnswersNothing,
    SearchIsFull,
    CacheRefuses,
    SlotDropped,
    Reindex,
    Corruption,
}

const ALL: [Fault; 12] = [
    Fault::Kill,
    Fault::KillAll,
    Fault::Freeze,
    Fault::PostgresCrash,
    Fault::SearchRefuses,
    Fault::SearchHangs,
    Fault::SearchAnswersNothing,
    Fault::SearchIsFull,
    Fault::CacheRefuses,
    Fault::SlotDropped,
    Fault::Reindex,
    Fault::Corruption,
];

impl Fault {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        dice.pick(&ALL)
    }

    /// Breaks something, and repairs it unless it recovers by itself.
    pub(super) async fn inject(self, stage: &Stage, dice: &mut Dice) {
        let server = usize::try_from(dice.roll(stage.servers() as u64)).unwrap();
        let pause = Duration::from_millis(500 + dice.roll(6_000));
        match self {
            Self::Kill => stage.kill(server).await,
            Self::KillAll => {
                for server in 0..stage.servers() {
                    stage.kill(server).await;
                }
            }
            // Sometimes long enough that the other server takes over.
            Self::Freeze => stage.freeze(server, pause * 3).await,
            Self::PostgresCrash => {
                stage.cluster.stop("immediate");
                sleep(pause / 4).await;
                stage.cluster.launch();
                stage.tally.restarts.fetch_add(1, Ordering::Relaxed);
            }
            Self::SearchRefuses => outage(stage, Mode::Refuse, pause).await,
            Self::SearchHangs => outage(stage, Mode::Hang, pause).await,
            Self::SearchAnswersNothing => outage(stage, Mode::Swallow, pause).await,
            Self::SearchIsFull => {
                block(stage, json!(true)).await;
                sleep(pause).await;
                block(stage, json!(null)).await;
                stage.tally.outages.fetch_add(1, Ordering::Relaxed);
            }
            Self::CacheRefuses => {
                stage.cache.set(Mode::Refuse);
                sleep(pause / 2).await;
                stage.cache.set(Mode::Pass);
                stage.tally.restarts.fetch_add(1, Ordering::Relaxed);
            }
            Self::SlotDropped => drop_slot(stage).await,
            Self::Reindex => stage.reindex().await,
            Self::Corruption => corrupt(stage).await,
        }
    }
}

async fn outage(stage: &Stage, mode: Mode, pause: Duration) {
    stage.search.set(mode);
    sleep(pause).await;
    stage.search.set(Mode::Pass);
    stage.tally.outages.fetch_add(1, Ordering::Relaxed);
}

/// Blocks writes as Elasticsearch does when its disk is nearly full: it answers them with 429.
async fn block(stage: &Stage, blocked: serde_json::Value) {
    let path = format!("{}-*/_settings", stage.observer.app.config.search.index_prefix);
    stage.observer.try_raw(Method::PUT, &path, Some(json!({ "index.blocks.read_only_allow_delete": blocked }))).await;
}

async fn drop_slot(stage: &Stage) {
    let mut connection = stage.cluster.connect().await;
    let dropping = async {
        for _ in 0..50 {
            let end = "select pg_terminate_backend(active_pid, 1000) from pg_replication_slots where active";
            sqlx::raw_sql(end).execute(&mut connection).await.ok();
            let drop = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active";
            if sqlx::query(drop).fetch_all(&mut connection).await.is_ok_and(|dropped| !dropped.is_empty()) {
                break;
            }
        }
        connection.close().await.ok();
    };
    timeout(Duration::from_secs(30), dropping).await.ok();
}

/// Deletes and changes documents behind the product's back, then repairs them.
async fn corrupt(stage: &Stage) {
    let prefix = stage.observer.app.config.search.index_prefix.clone();
    let query = json!({
        "query": { "range": { "id": { "lt": "00000000-0000-0000-0001-00000000000a" } } },
        "script": { "source": "ctx._source.name = 'corrupted'" }
    });
    let path = format!("{prefix}-customers/_update_by_query?conflicts=proceed&refresh=true");
    stage.observer.try_raw(Method::POST, &path, Some(query)).await;
    let path = format!("{prefix}-payments/_delete_by_query?conflicts=proceed&refresh=true");
    let some = json!({ "query": { "range": { "id": { "lt": "00000000-0000-0000-0005-00000000000a" } } } });
    stage.observer.try_raw(Method::POST, &path, Some(some)).await;
    let mut repair = stage.command();
    repair.args(["sync", "repair"]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    timeout(Duration::from_secs(60), repair.status()).await.ok();
}
