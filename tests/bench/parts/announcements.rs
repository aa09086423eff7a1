//! P8: from a commit to its announcement, in the sync leader and in another process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use collections::app::App;
use collections::feed::{Feed, Source};
use collections::sync;
use collections::values::clock::Clock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::context::Context;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::Latencies;
use crate::harness::rows;
use crate::harness::server::Server;
use crate::parts::freshness;

const TIMEOUT: Duration = Duration::from_secs(60);
/// A change that is not announced so long after the last commit is lost.
pub(super) const LOSS_TIMEOUT: Duration = Duration::from_secs(5);

/// Times by row and version.
pub(super) type Times = HashMap<(Uuid, i64), Instant>;

/// Leads the sync in this process, follows it with a second `App`, and subscribes to both while rows change.
pub async fn measure(context: &mut Context<'_>) -> anyhow::Result<Vec<Measure>> {
    context.stop_server().await?;
    let (leader, other) = (open(context)?, open(context)?);
    let syncing = tokio::spawn(sync::run(leader.clone(), leader.stop.clone()));
    let following = tokio::spawn(Arc::clone(&other.feed).follow(other.stop.clone()));
    let measured = listen(context, &leader, &other).await;
    leader.stop.cancel();
    other.stop.cancel();
    tokio::time::timeout(TIMEOUT, syncing).await.context("the sync does not stop")??;
    tokio::time::timeout(TIMEOUT, following).await.context("the feed does not stop")??;
    context.server = Some(Server::start(context.sandbox, context.log).await?);
    measured
}

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
    let mut subscribers = Vec::new();
    for (name, app, source) in sides {
        let begin = Instant::now();
        while app.feed.source() != source {
            ensure!(begin.elapsed() < TIMEOUT, "no announcements {name} after {TIMEOUT:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        subscribers.push((name, receive(&app.feed, stop.clone())));
    }
    let commits = commit(context).await?;
    tokio::time::sleep(LOSS_TIMEOUT).await;
    stop.cancel();
    let mut measures = Vec::new();
    for (name, subscriber) in subscribers {
        measures.append(&mut measures_of(context, name, &commits, &subscriber.await?));
    }
    Ok(measures)
}

/// Records the times of the announcements until stopped.
fn receive(feed: &Arc<Feed>, stop: CancellationToken) -> JoinHandle<Times> {
    let mut subscription = feed.subscribe();
    tokio::spawn(async move {
        let mut received = Times::new();
        // A gap ends it, and shows as lost announcements.
        while let Some(Ok(entry)) = stop.run_until_cancelled(subscription.next()).await {
            let now = Instant::now();
            for announcement in entry.announcements.iter().filter(|one| one.collection == "accounts") {
                received.entry((announcement.id, announcement.version.unwrap_or_default())).or_insert(now);
            }
        }
        received
    })
}

/// Changes accounts at a steady rate and returns the times of the commits.
pub(super) async fn commit(context: &Context<'_>) -> anyhow::Result<Times> {
    let accounts = rows::random(&context.sandbox.pool, "accounts", 1_000).await?;
    let mut connection = context.sandbox.pool.acquire().await?;
    let mut commits = Times::new();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / freshness::RATE));
    let changes = context.sizes.freshness_seconds * freshness::RATE as u64;
    for (number, id) in (0..changes).zip(accounts.iter().cycle()) {
        ticks.tick().await;
        let version: i64 = sqlx::query_scalar("update accounts set creditor = $2 where id = $1 returning version")
            .bind(id)
            .bind(format!("bench-{number}"))
            .fetch_one(&mut *connection)
            .await?;
        commits.insert((*id, version), Instant::now());
    }
    Ok(commits)
}

fn measures_of(context: &Context<'_>, name: &str, commits: &Times, received: &Times) -> Vec<Measure> {
    // An announcement may arrive before the client has read that it was committed.
    let found = commits.iter().filter_map(|(row, begin)| Some(received.get(row)?.saturating_duration_since(*begin)));
    let latencies = Latencies::new(found.collect());
    let row = |what: String, unit, ours, goal, how: &str| Measure {
        id: "P8",
        what,
        unit,
        ours: vec![ours],
        goal,
        how: how.to_owned(),
        ..context.measure()
    };
    let how = format!(
        "{} changes of one account each, {} per second, by SQL; from the commit's return until a subscriber of the feed receives \
         it.",
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
