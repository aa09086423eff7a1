//! P6: our sync against PGSync with the same rows, changes and Elasticsearch.

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

/// One row per commit, as a user changes it.
const CHANGE: &str = "update accounts set portfolio = $2 where id = any($1)";

/// Results of one side.
#[derive(Default)]
struct Rounds {
    loads: Vec<f64>,
    changes: Vec<f64>,
    /// Changes that never arrived.
    lost: usize,
}

/// Loads all accounts and follows changes of them, each side in turn while the other is stopped.
pub async fn measure(context: &mut Context<'_>, redis_url: Option<&SecretString>) -> anyhow::Result<Vec<Measure>> {
    let pgsync = Pgsync::install(context, redis_url.context("PGSync needs REDIS_URL")?).await?;
    let rows: i64 = sqlx::query_scalar("select count(*) from accounts").fetch_one(&context.sandbox.pool).await?;
    let rows = u64::try_from(rows)?;
    let ids = rows::random(&context.sandbox.pool, "accounts", context.sizes.pgsync_changes).await?;
    let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
    for round in 0..context.rounds {
        // The order alternates, so that neither side always finds warm caches.
        if round % 2 == 0 {
            our_round(context, rows, &ids, round, &mut ours).await?;
        }
        context.stop_server().await?;
        let done = their_round(context, &pgsync, rows, &ids, round, &mut theirs).await;
        let removed = pgsync.remove(context).await;
        done?;
        removed?;
        context.server = Some(Server::start(context.sandbox, context.log).await?);
        if round % 2 == 1 {
            our_round(context, rows, &ids, round, &mut ours).await?;
        }
    }
    let row = |what: &str, unit, ours, reference, goal, how| {
        let (what, goal) = (what.to_owned(), Goal::RatioAtLeast(goal));
        Measure { id: "P6", what, unit, ours, reference, goal, how, ..context.measure() }
    };
    let reference = format!(
        "Reference: PGSync {VERSION} in trigger mode with its defaults, with a proxy in front of Elasticsearch that answers `GET \
         /`; its document has no search terms, and"
    );
    Ok(vec![
        row(
            "first load of accounts",
            "docs/s",
            ours.loads,
            theirs.loads,
            6.0,
            format!(
                "{rows} documents. Ours: the whole run of `collections reindex` beside a running server, including checks and \
                 swap. {reference} its load is a whole run of `pgsync` after its `bootstrap`, while our server is stopped."
            ),
        ),
        row(
            "live changes of accounts, one per commit",
            "changes/s",
            ours.changes,
            theirs.changes,
            10.0,
            format!(
                "{} distinct accounts changed by SQL. Ours: as in P5, from the opening of the stream until everything is \
                 searchable. {reference} its rate is what arrives in its index after the last commit, without concurrent writes; \
                 {} changes never arrived.",
                ids.len(),
                theirs.lost
            ),
        ),
    ])
}

async fn our_round(context: &mut Context<'_>, rows: u64, ids: &[Uuid], round: usize, ours: &mut Rounds) -> anyhow::Result<()> {
    let accounts = find("accounts").context("no such collection")?;
    // Changes of the other side must not count.
    catch_up::wait(&context.sandbox.pool).await?;
    ours.loads.push(rows as f64 / reindex::run(context, accounts).await?.elapsed.as_secs_f64());
    let target = sync_rate::build_backlog(context, CHANGE, ids, 1, &format!("ours {round}")).await?;
    ours.changes.push(ids.len() as f64 / sync_rate::drain_backlog(context, target).await?.as_secs_f64());
    Ok(())
}

async fn their_round(
    context: &Context<'_>,
    pgsync: &Pgsync,
    rows: u64,
    ids: &[Uuid],
    round: usize,
    theirs: &mut Rounds,
) -> anyhow::Result<()> {
    theirs.loads.push(rows as f64 / pgsync.load(context, rows).await?.as_secs_f64());
    let arrival = pgsync.follow(context, CHANGE, ids, &format!("theirs {round}")).await?;
    theirs.changes.push(arrival.rate);
    theirs.lost += arrival.lost;
    Ok(())
}
