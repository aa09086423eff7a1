//! `collections serve`: API, sync and worker, in one process or apart.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use futures_util::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::app::App;
use crate::config::{Analytics, Config};
use crate::db::{self, Trouble};
use crate::features::users;
use crate::values::clock::Clock;
use crate::{health, server, sync, telemetry, worker};

/// Backoff before a retry: doubles from the first to the last.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LAST_BACKOFF: Duration = Duration::from_secs(10);

/// Serves until a stop signal.
#[derive(Args)]
pub(super) struct Serve {
    /// Run one part only.
    #[arg(long, value_enum)]
    only: Option<Part>,
    #[command(flatten)]
    config: Config,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Api,
    Sync,
    Worker,
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let exporter = telemetry::start(&self.config.telemetry, self.config.environment)?;
        let ended = self.serve().await;
        exporter.finish().await;
        ended
    }

    async fn serve(self) -> anyhow::Result<ExitCode> {
        let app = App::open(self.config, Clock::default())?;
        let runs = |part| self.only.is_none_or(|only| only == part);
        if let Some(warning) = app.config.access.warning() {
            tracing::warn!("{warning}");
        }
        let mut parts = JoinSet::new();
        if runs(Part::Api) {
            // Before Postgres is ready, so that health checks can say what the server waits for.
            let running = listen(&app).await?;
            let stop = app.stop.clone();
            parts.spawn(async move {
                // Without it there is nothing to serve; the process must not look as if it had been asked to stop.
                let ended = running.ended.await;
                stop.cancel();
                ended.map_err(|_| anyhow::anyhow!("the server panicked"))
            });
        }
        stop_on_signals(&app)?;
        if let Err(error) = prepare(&app, runs(Part::Sync)).await {
            app.stop.cancel();
            parts.join_all().await;
            return Err(error);
        }
        if runs(Part::Sync) {
            let sync = supervise("sync", app.clone(), |app| async {
                let stop = app.stop.clone();
                sync::run(app, stop).await;
                Ok::<_, std::convert::Infallible>(())
            });
            parts.spawn(sync.map(Ok));
        }
        if runs(Part::Worker) && !runs(Part::Api) {
            // Exports read the index, whose state the API's process follows anyway.
            parts.spawn(sync::leader::follower::run(app.clone(), app.stop.clone()).map(Ok));
        }
        if runs(Part::Worker) {
            parts.spawn(supervise("worker", app.clone(), worker::run).map(Ok));
        }
        if app.config.search.analytics != Analytics::Off {
            parts.spawn(supervise("samples", app.clone(), health::samples::run).map(Ok));
        }
        parts.join_all().await.into_iter().collect::<anyhow::Result<()>>()?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn listen(app: &App) -> anyhow::Result<server::Running> {
    let (host, port) = (app.config.http.host, app.config.http.port);
    let running =
        server::start(app).await.with_context(|| format!("cannot listen on {host} port {port} (HOST, PORT, ADMIN_PORT)"))?;
    tracing::info!(address = %running.address, "listening");
    if let Some(address) = running.admin_address {
        tracing::info!(%address, "listening for operators");
    }
    Ok(running)
}

/// Waits until Postgres is ready and creates the first user. Fails if an operator has to act.
async fn prepare(app: &App, with_sync: bool) -> anyhow::Result<()> {
    let mut backoff = FIRST_BACKOFF;
    while !app.stop.is_cancelled() {
        match db::check(&app.config.database, with_sync).await {
            Ok(()) => match users::create_first(&app.db.server, &app.clock).await {
                Ok(created) => {
                    if let Some(password) = created {
                        println!("first start: sign in as admin with the password {password}");
                    }
                    tracing::info!("postgres is ready");
                    return Ok(());
                }
                Err(error) if error.status() >= 500 => tracing::warn!(error = %error, "cannot read the users yet"),
                Err(error) => return Err(error.into()),
            },
            Err(Trouble::Wrong(sentence)) => bail!(sentence),
            Err(trouble @ Trouble::Away(_)) => tracing::warn!(error = %trouble, "waiting for postgres"),
        }
        wait(app, &mut backoff).await;
    }
    Ok(())
}

/// Restarts a part after a panic or an error, until the application is stopped.
async fn supervise<W, E>(name: &'static str, app: App, part: impl Fn(App) -> W)
where
    W: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    let mut backoff = FIRST_BACKOFF;
    loop {
        let started = Instant::now();
        match tokio::spawn(part(app.clone())).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => tracing::error!(part = name, error = %error, "a part failed and restarts"),
            Err(_) => tracing::error!(part = name, "a part panicked and restarts"),
        }
        if started.elapsed() > 6 * LAST_BACKOFF {
            backoff = FIRST_BACKOFF;
        }
        wait(&app, &mut backoff).await;
        if app.stop.is_cancelled() {
            return;
        }
    }
}

async fn wait(app: &App, backoff: &mut Duration) {
    tokio::select! {
        () = sleep(*backoff) => *backoff = (*backoff * 2).min(LAST_BACKOFF),
        () = app.stop.cancelled() => {}
    }
}

/// SIGTERM and SIGINT stop the application; a second one ends the process at once.
fn stop_on_signals(app: &App) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = app.stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                std::process::exit(1);
            }
            tracing::info!("stopping: finishing requests in progress");
            stop.cancel();
        }
    });
    Ok(())
}
