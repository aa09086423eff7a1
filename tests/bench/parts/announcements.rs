//! P8: from a commit to its announcement, in the process that leads the sync and in another one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use collections::app::App;
use collections::clock::Clock;
use collections::feed::{Feed, Source};
use collections::sync;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::context::Context;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::Latencies;
use crate::harness::rows;
use crate::harness::server::Server;
use crate::parts::freshness;

/// A sync that does not lead by then never will.
const PATIENCE: Duration = Duration::from_secs(60);
/// A change that is not announced so long after the last one is lost.
const SILENCE: Duration = Duration::from_secs(5);

/// When each version of a row was heard of.
type Heard = HashMap<(Uuid, i64), Instant>;

/// Leads the sync in this process, lets a second set of drivers stand for another server, and hears both while rows change.
pub async fn measure(context: &mut Context<'_>) -> anyhow::Result<Vec<Measure>> {
    context.stop_server().await?;
    let (leader, other) = (open(context)?, open(context)?);
    let syncing = tokio::spawn(sync::run(leader.clone(), leader.stop.clone()));
    let following = tokio::spawn(Arc::clone(&other.feed).follow(other.stop.clone()));
    let measured = listen(context, &leader, &other).await;
    leader.stop.cancel();
    other.stop.cancel();
    tokio::time::timeout(PATIENCE, syncing).await.context("the sync does not stop")??;
    tokio::time::timeout(PATIENCE, following).await.context("the feed does not stop")??;
    context.server = Some(Server::start(context.sandbox, context.log).await?);
    measured
}

/// Opens the drivers with the settings of the sandbox.
fn open(context: &Context<'_>) -> anyhow::Result<App> {
    let mut config = context.config.clone();
    config.database.url = context.sandbox.url.clone();
    config.database.owner_url = None;
    config.search.index_prefix.clone_from(&context.sandbox.name);
    config.sync.slot.clone_from(&context.sandbox.name);
    App::open(config, Clock::default())
}

async fn listen(context: &Context<'_>, leader: &App, other: &App) -> anyhow::Result<Vec<Measure>> {
    let mut sides = vec![("in the process", leader, Source::Own)];
    if context.config.redis_url.is_some() {
        sides.push(("in another server, through Redis", other, Source::Other));
    }
    let stop = CancellationToken::new();
    let mut ears = Vec::new();
    for (name, app, source) in sides {
        let begin = Instant::now();
        while app.feed.source() != source {
            ensure!(begin.elapsed() < PATIENCE, "no announcements {name} after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        ears.push((name, hear(&app.feed, stop.clone())));
    }
    let commits = commit(context).await?;
    tokio::time::sleep(SILENCE).await;
    stop.cancel();
    let mut measures = Vec::new();
    for (name, ear) in ears {
        measures.append(&mut rows(context, name, &commits, &ear.await?));
    }
    Ok(measures)
}

/// Notes what is announced until stopped.
fn hear(feed: &Arc<Feed>, stop: CancellationToken) -> JoinHandle<Heard> {
    let mut subscription = feed.subscribe();
    tokio::spawn(async move {
        let mut heard = Heard::new();
        // A gap ends it: what is missing then shows.
        while let Some(Ok(entry)) = stop.run_until_cancelled(subscription.next()).await {
            let now = Instant::now();
            for announcement in entry.announcements.iter().filter(|one| one.collection == "accounts") {
                heard.entry((announcement.id, announcement.version.unwrap_or_default())).or_insert(now);
            }
        }
        heard
    })
}

/// Changes accounts at a light, steady rate, and notes when each commit has returned.
async fn commit(context: &Context<'_>) -> anyhow::Result<Heard> {
    let accounts = rows::random(&context.sandbox.pool, "accounts", 1_000).await?;
    let mut connection = context.sandbox.pool.acquire().await?;
    let mut commits = Heard::new();
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / freshness::RATE));
    let changes = context.sizes.freshness_seconds * freshness::RATE as u64;
    for (number, id) in (0..changes).zip(accounts.iter().cycle()) {
        pace.tick().await;
        let version: i64 = sqlx::query_scalar("update accounts set creditor = $2 where id = $1 returning version")
            .bind(id)
            .bind(format!("bench-{number}"))
            .fetch_one(&mut *connection)
            .await?;
        commits.insert((*id, version), Instant::now());
    }
    Ok(commits)
}

fn rows(context: &Context<'_>, name: &str, commits: &Heard, heard: &Heard) -> Vec<Measure> {
    // An announcement may even be there before the client has read that it has committed.
    let found = commits.iter().filter_map(|(row, begin)| Some(heard.get(row)?.saturating_duration_since(*begin)));
    let latencies = Latencies::new(found.collect());
    let row = |what: String, unit, ours, goal, how: &str| Measure {
        id: "P8",
        what,
        customers: context.customers,
        unit,
        ours: vec![ours],
        reference: vec![],
        goal,
        how: how.to_owned(),
    };
    let how = format!(
        "{} changes of one account each, {} per second, by SQL; from the commit's return until a consumer of the feed has it.",
        latencies.count(),
        freshness::RATE
    );
    let lost = commits.len() - latencies.count();
    vec![
        row(format!("commit → announcement {name}, p50"), "ms", latencies.percentile(50.0), Goal::AtMost(2.0), &how),
        row(format!("commit → announcement {name}, p99"), "ms", latencies.percentile(99.0), Goal::AtMost(10.0), &how),
        row(format!("announcements lost {name}"), "changes", lost as f64, Goal::AtMost(0.0), "Of the same changes."),
    ]
}
