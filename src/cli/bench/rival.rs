//! P6: our sync against PGSync, with the same rows, the same changes and the same Elasticsearch.

use anyhow::Context;
use secrecy::SecretString;
use uuid::Uuid;

use super::pgsync::{Pgsync, VERSION};
use super::report::{Goal, Measure};
use super::server::Server;
use super::{Scene, backlog, live, rebuild};
use crate::collections;

/// One row to a commit, as a person at a desk changes it.
const CHANGE: &str = "update accounts set portfolio = $2 where id = any($1)";

/// What the rounds of both sides came to.
#[derive(Default)]
struct Rounds {
    loads: Vec<f64>,
    changes: Vec<f64>,
    /// Changes that never arrived.
    lost: usize,
}

/// Loads all accounts and follows changes of them, each side in turn while the other is stopped.
pub(super) async fn measure(scene: &mut Scene<'_>, redis_url: Option<&SecretString>) -> anyhow::Result<Vec<Measure>> {
    let rival = Pgsync::install(scene, redis_url.context("PGSync needs REDIS_URL")?).await?;
    let rows: i64 = sqlx::query_scalar("select count(*) from accounts").fetch_one(&scene.stage.pool).await?;
    let rows = u64::try_from(rows)?;
    let ids = live::rows(&scene.stage.pool, "accounts", scene.sizes.rival_changes).await?;
    let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
    for round in 0..scene.rounds {
        // The order changes from round to round, so that neither side always finds the warmer server.
        if round % 2 == 0 {
            our_round(scene, rows, &ids, round, &mut ours).await?;
        }
        scene.stop_server().await?;
        let done = their_round(scene, &rival, rows, &ids, round, &mut theirs).await;
        let removed = rival.remove(scene).await;
        done?;
        removed?;
        scene.server = Some(Server::start(scene.stage, scene.log).await?);
        if round % 2 == 1 {
            our_round(scene, rows, &ids, round, &mut ours).await?;
        }
    }
    let row = |what: &str, unit, ours, reference, goal, how| {
        let (what, customers) = (what.to_owned(), scene.customers);
        Measure { id: "P6", what, customers, unit, ours, reference, goal: Goal::RatioAtLeast(goal), how }
    };
    let which = format!(
        "Reference: PGSync {VERSION} in trigger mode with its defaults, in front of Elasticsearch a listener that answers `GET /` and \
         passes on the rest; its document has no terms for searches, and"
    );
    Ok(vec![
        row(
            "first load of accounts",
            "docs/s",
            ours.loads,
            theirs.loads,
            6.0,
            format!(
                "{rows} documents. Ours: the whole run of `collections reindex` beside a running server, checks and swap included. \
                 {which} its load is a whole run of `pgsync` after its `bootstrap`, while our server is stopped."
            ),
        ),
        row(
            "live changes of accounts, one to a commit",
            "changes/s",
            ours.changes,
            theirs.changes,
            10.0,
            format!(
                "{} distinct accounts changed by SQL. Ours: as in P5, from the opening of the stream until everything can be found. \
                 {which} its rate is what arrives in its index after the last commit, nobody writing beside it; {} changes never \
                 arrived.",
                ids.len(),
                theirs.lost
            ),
        ),
    ])
}

async fn our_round(scene: &mut Scene<'_>, rows: u64, ids: &[Uuid], round: usize, ours: &mut Rounds) -> anyhow::Result<()> {
    let accounts = collections::find("accounts").context("no such collection")?;
    // What the other side has changed meanwhile is no part of it.
    backlog::caught_up(&scene.stage.pool).await?;
    ours.loads.push(rows as f64 / rebuild::reindex(scene, accounts).await?.elapsed.as_secs_f64());
    let target = live::pile_up(scene, CHANGE, ids, 1, &format!("ours {round}")).await?;
    ours.changes.push(ids.len() as f64 / live::work_off(scene, target).await?.as_secs_f64());
    Ok(())
}

async fn their_round(
    scene: &Scene<'_>,
    rival: &Pgsync,
    rows: u64,
    ids: &[Uuid],
    round: usize,
    theirs: &mut Rounds,
) -> anyhow::Result<()> {
    theirs.loads.push(rows as f64 / rival.load(scene, rows).await?.as_secs_f64());
    let arrival = rival.follow(scene, CHANGE, ids, &format!("theirs {round}")).await?;
    theirs.changes.push(arrival.rate);
    theirs.lost += arrival.lost;
    Ok(())
}
