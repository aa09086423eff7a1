//! P6: our sync against PGSync, with the same rows, the same changes and the same Elasticsearch.

mod installation;

use anyhow::Context as _;
use collections::collections::find;
use secrecy::SecretString;
use uuid::Uuid;

use self::installation::{Pgsync, VERSION};
use crate::harness::context::Context;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::Server;
use crate::harness::{catch_up, rows};
use crate::parts::{reindex, sync_rate};

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
pub async fn measure(context: &mut Context<'_>, redis_url: Option<&SecretString>) -> anyhow::Result<Vec<Measure>> {
    let rival = Pgsync::install(context, redis_url.context("PGSync needs REDIS_URL")?).await?;
    let rows: i64 = sqlx::query_scalar("select count(*) from accounts").fetch_one(&context.sandbox.pool).await?;
    let rows = u64::try_from(rows)?;
    let ids = rows::random(&context.sandbox.pool, "accounts", context.sizes.rival_changes).await?;
    let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
    for round in 0..context.rounds {
        // The order changes from round to round, so that neither side always finds the warmer server.
        if round % 2 == 0 {
            our_round(context, rows, &ids, round, &mut ours).await?;
        }
        context.stop_server().await?;
        let done = their_round(context, &rival, rows, &ids, round, &mut theirs).await;
        let removed = rival.remove(context).await;
        done?;
        removed?;
        context.server = Some(Server::start(context.sandbox, context.log).await?);
        if round % 2 == 1 {
            our_round(context, rows, &ids, round, &mut ours).await?;
        }
    }
    let row = |what: &str, unit, ours, reference, goal, how| {
        let (what, customers) = (what.to_owned(), context.customers);
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

async fn our_round(context: &mut Context<'_>, rows: u64, ids: &[Uuid], round: usize, ours: &mut Rounds) -> anyhow::Result<()> {
    let accounts = find("accounts").context("no such collection")?;
    // What the other side has changed meanwhile is no part of it.
    catch_up::caught_up(&context.sandbox.pool).await?;
    ours.loads.push(rows as f64 / reindex::reindex(context, accounts).await?.elapsed.as_secs_f64());
    let target = sync_rate::pile_up(context, CHANGE, ids, 1, &format!("ours {round}")).await?;
    ours.changes.push(ids.len() as f64 / sync_rate::work_off(context, target).await?.as_secs_f64());
    Ok(())
}

async fn their_round(
    context: &Context<'_>,
    rival: &Pgsync,
    rows: u64,
    ids: &[Uuid],
    round: usize,
    theirs: &mut Rounds,
) -> anyhow::Result<()> {
    theirs.loads.push(rows as f64 / rival.load(context, rows).await?.as_secs_f64());
    let arrival = rival.follow(context, CHANGE, ids, &format!("theirs {round}")).await?;
    theirs.changes.push(arrival.rate);
    theirs.lost += arrival.lost;
    Ok(())
}
