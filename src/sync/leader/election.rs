//! Leader election: one process leads the sync, the others stand by. Starts the parts of a leader, and starts again after a fault.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::{high_water_mark, problem, session};
use crate::app::App;
use crate::freshness::Reached;
use crate::freshness::status::{Role, Status};
use crate::search::Elastic;
use crate::sync::generations::reconcile;
use crate::sync::integrity::{sweep, verify};
use crate::sync::pipeline::SessionChannels;
use crate::sync::pipeline::backlog_worker::BacklogWorker;
use crate::sync::pipeline::event_loop::Pipeline;
use crate::sync::pipeline::progress::Progress;
use crate::sync::store::backlog;
use crate::sync::store::checkpoint::{self, Checkpoint, State};
use crate::sync::stream::source::{Opened, Source};
use crate::sync::writer::Writer;
use crate::sync::writer::apply::IndexTarget;
use crate::values::lsn::{Epoch, Lsn, Version};

/// How often a standby tries to lead.
const STANDBY: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Milliseconds after which a process that froze while it started to lead loses the lock. Creating a slot can take a minute.
const STARTING_MS: &str = "90000";

/// Keeps the index equal to the rows until stopped; reports each fault and retries.
pub async fn run(app: App, stop: CancellationToken) {
    tokio::spawn(Arc::clone(&app.feed).follow(app.stop.clone()));
    let _persisting = AbortOnDropHandle::new(tokio::spawn(problem::persist(app.clone())));
    let status = &app.watermark.status;
    let mut pause = SHORTEST_PAUSE;
    let mut reported = String::new();
    while !stop.is_cancelled() {
        let since = Instant::now();
        let ended = tokio::select! {
            ended = lead(&app, status, &stop) => ended,
            // A leader ends its stream in order; a process that is only starting is dropped.
            () = cancelled_before_leading(status, &stop) => break,
        };
        if since.elapsed() > LONGEST_PAUSE * 2 {
            pause = SHORTEST_PAUSE;
            reported.clear();
        }
        if let Err(fault) = ended {
            let problem = format!("{fault:#}");
            if problem != reported {
                error!(error = problem, "sync failed; trying again");
            }
            status.fail(problem.clone());
            reported = problem;
            let jittered = pause.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            stop.run_until_cancelled(tokio::time::sleep(jittered)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
    status.enter(Role::Off);
}

async fn cancelled_before_leading(status: &Status, stop: &CancellationToken) {
    stop.cancelled().await;
    if status.report().role == Role::Leading {
        std::future::pending().await
    }
}

/// Leads until something breaks, unless another process leads.
async fn lead(app: &App, status: &Status, stop: &CancellationToken) -> anyhow::Result<()> {
    let Some(elastic) = Elastic::open(&app.config.search)? else {
        status.enter(Role::Off);
        stop.cancelled().await;
        return Ok(());
    };
    let Some(mut connection) = elect(app).await? else {
        status.enter(Role::Standby);
        tokio::time::sleep(STANDBY).await;
        return Ok(());
    };
    status.update(|report| report.role = Role::Starting);
    let lease = checkpoint::take_lease(&mut connection, &format!("process {}", std::process::id())).await?;
    status.update(|report| report.lease = Some(lease));
    let Opened { mut source, origin, confirmed, is_new } = Source::open(app).await?;
    let mut known = checkpoint::read(&mut connection).await?;
    let discontinuity = match &known.origin {
        None => Some("this is the first start"),
        Some(before) if *before != origin => Some("the database is another one, or was restored or failed over"),
        Some(_) if is_new => Some("the replication slot was missing or lost"),
        Some(_) if confirmed > known.checkpoint.confirmed => Some("another program has moved the replication slot"),
        Some(_) => None,
    };
    let start_epoch = async |known: State, epoch: Epoch, reason: &str| {
        warn!(reason, "building every index anew; until then postgres answers lists");
        checkpoint::start_epoch(&app.db.sync, lease, &origin, epoch, confirmed).await?;
        app.watermark.advance(epoch, Reached::default());
        let checkpoint = Checkpoint { confirmed, searchable: confirmed, ..Checkpoint::default() };
        anyhow::Ok(State { epoch, checkpoint, ..known })
    };
    if let Some(reason) = discontinuity {
        let epoch = if known.origin.is_some() { known.epoch.next() } else { known.epoch };
        known = start_epoch(known, epoch, reason).await?;
    }
    if let Some(ahead) = high_water_mark::epoch_ahead(app, &elastic, &known).await? {
        known = start_epoch(known, ahead.next(), "the database has gone back in time: the index has seen later changes").await?;
    }
    let State { epoch, mut checkpoint, .. } = known;

    let writer = Arc::new(Writer::new(app.db.sync.clone(), elastic, epoch, &app.config));
    reconcile::register(app, &writer).await?;
    for waiting in backlog::pending(&app.db.sync).await?.into_iter().filter(|one| !one.is_empty()) {
        // An earlier leader ended before it could save since when.
        checkpoint.backlog_since.entry(waiting.collection).or_insert(Lsn(checkpoint.confirmed.0 + 1));
    }
    retry_quarantined(app, &writer, Version::new(epoch, checkpoint.confirmed)).await?;
    source.start().await?;
    info!(epoch = epoch.0, position = %checkpoint.confirmed, "became sync leader");
    let from = checkpoint.confirmed;
    let progress = Progress::new(checkpoint);
    status.enter(Role::Leading);
    status.update(|report| report.epoch = epoch.0);

    let _leading = app.feed.lead(epoch, confirmed);
    let channels = SessionChannels::default();
    let servers = Arc::new(IndexTarget { writer: Arc::clone(&writer), fanout_inline: app.config.sync.fanout_inline });
    let pipeline = Pipeline::new(app, source, Arc::clone(&servers), &progress, &channels, writer.live_indices());
    // Boxed without their types: the compiler would take minutes to look through all of them as one.
    tokio::select! {
        ended = pipeline.run(stop).boxed() => ended,
        ended = BacklogWorker::new(app, &servers, &progress).run().boxed() => ended,
        ended = session::hold(connection, lease, &progress, &channels).boxed() => ended,
        ended = high_water_mark::keep_raising(app, &writer.elastic, epoch, from, &channels.saved, &progress.is_certain).boxed() => ended,
        ended = reconcile::run(app, &writer, lease, &progress).boxed() => ended,
        ended = sweep::run(app, &writer, lease).boxed() => ended,
    }
}

/// Enqueues quarantined documents: this version of the program may build them otherwise.
async fn retry_quarantined(app: &App, writer: &Writer, version: Version) -> anyhow::Result<()> {
    let quarantined = verify::quarantined(app).await?;
    writer.remember_quarantined(quarantined.iter().flat_map(|(name, ids)| ids.iter().map(|id| (*name, *id))));
    Ok(backlog::enqueue(&app.db.sync, &quarantined, version).await?)
}

/// Takes the advisory lock of the leader, which ends with its connection.
async fn elect(app: &App) -> anyhow::Result<Option<PgConnection>> {
    let options = PgConnectOptions::from_str(app.config.database.url.expose_secret())
        .context("DATABASE_URL cannot be read")?
        .application_name("collections sync leader")
        // The heartbeat must not wait for a standby; the visibility barrier does.
        .options([
            ("role", "collections_sync"),
            ("synchronous_commit", "local"),
            ("statement_timeout", "5000"),
            ("idle_session_timeout", STARTING_MS),
        ]);
    let connecting = PgConnection::connect_with(&options);
    let mut connection =
        timeout(CONNECT_TIMEOUT, connecting).await.context("postgres does not answer")?.context("cannot reach postgres")?;
    let is_leader = sqlx::query_scalar!(r#"select pg_try_advisory_lock(hashtext('collections sync')) as "locked!""#)
        .fetch_one(&mut connection)
        .await?;
    Ok(is_leader.then_some(connection))
}
