//! `collections bench`: every figure as a ratio to its reference, both taken in turn in one run.

mod announce;
mod backlog;
mod builds;
mod client;
mod disturbance;
mod effort;
mod footprint;
mod freshness;
mod growth;
mod hot;
mod intake;
mod lists;
mod live;
mod load;
mod machine;
mod pgsync;
mod raw;
mod rebuild;
mod report;
mod rival;
mod server;
mod sizes;
mod stage;
mod statistics;
mod tap;
mod trials;
mod truth;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use futures_util::FutureExt;

use super::bench::report::Report;
use super::bench::server::Server;
use super::bench::sizes::Sizes;
use super::bench::stage::Stage;
use crate::config::{self, Config};

/// Measures the program against what it stands on, in a database and indices of its own.
#[derive(Args)]
pub(super) struct Bench {
    /// Customers in the database; with several sizes everything is measured at each.
    #[arg(long, value_delimiter = ',', default_value = "10000,200000")]
    customers: Vec<u64>,
    /// Measure only these; everything but p6, p20 and the trials if absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Also measure p6, against PGSync, which needs Python and fetches a package.
    #[arg(long)]
    p6: bool,
    /// Also measure p20, the builds and the tests, which takes minutes.
    #[arg(long)]
    p20: bool,
    /// Where the report is written; the same as JSON lands beside it.
    #[arg(long, default_value = "target/bench/report.md")]
    report: PathBuf,
    /// Length of the outage, in seconds.
    #[arg(long, default_value_t = 600)]
    outage_seconds: u64,
    /// Accounts of the customer that is renamed in the fan-out.
    #[arg(long, default_value_t = 1_000_000)]
    children: u64,
    /// Rows of the giant transaction.
    #[arg(long, default_value_t = 10_000_000)]
    giant_rows: u64,
    /// A file of customers whose import is measured too.
    #[arg(long)]
    import: Option<PathBuf>,
    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    config: Config,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Peak of the lists, and their latency at half of it (P2).
    P1,
    /// Throughput of the live sync.
    P5,
    /// First load and live changes against PGSync.
    P6,
    /// From a commit to a list that shows it.
    P7,
    /// From a commit to its announcement.
    P8,
    /// Throughput of a reindex.
    P9,
    /// P9, its second half: what a reindex does to live changes.
    P9Live,
    /// Index writes when few rows change often.
    P10,
    /// Memory and start.
    P19,
    /// Builds and tests.
    P20,
    /// Trial: Elasticsearch is away while writes go on.
    Outage,
    /// Trial: a customer with very many accounts is renamed.
    Fanout,
    /// Trial: a reindex while thousands of changes come in every second, with kills.
    Fire,
    /// Trial: one in a hundred documents is corrupted behind the sync's back.
    Drift,
    /// Trial: one transaction of millions of rows.
    Giant,
}

impl Part {
    /// In the order in which they are measured: what changes the data most comes last.
    const ORDER: [Self; 14] = [
        Self::P1,
        Self::P7,
        Self::P8,
        Self::P9,
        Self::P9Live,
        Self::P10,
        Self::P5,
        Self::P6,
        Self::P19,
        Self::Drift,
        Self::Fire,
        Self::Outage,
        Self::Fanout,
        Self::Giant,
    ];

    fn is_trial(self) -> bool {
        matches!(self, Self::Outage | Self::Fanout | Self::Fire | Self::Drift | Self::Giant)
    }
}

/// What a measure works with.
struct Scene<'a> {
    stage: &'a Stage,
    /// Stopped while there is none.
    server: Option<Server>,
    config: &'a Config,
    sync: &'a config::Sync,
    customers: u64,
    sizes: &'a Sizes,
    /// Rounds of each side.
    rounds: usize,
    /// Length of one round of load.
    round: Duration,
    /// Where the servers' words go.
    log: &'a Path,
}

impl Scene<'_> {
    fn server(&self) -> anyhow::Result<&Server> {
        self.server.as_ref().context("no server runs")
    }

    async fn sign_in(&mut self) -> anyhow::Result<()> {
        self.server.as_mut().context("no server runs")?.sign_in().await
    }

    async fn stop_server(&mut self) -> anyhow::Result<()> {
        match self.server.take() {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }
}

impl Bench {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let folder = self.report.parent().unwrap_or(Path::new(".")).to_owned();
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let log = folder.join("server.log");
        let mut report = Report::new(&self.report);
        for &customers in &self.customers {
            if self.only == [Part::P20] {
                break;
            }
            let stage = Stage::set(&self.config.database, &self.config.search).await?;
            // An interrupted run leaves nothing behind either.
            let outcome = tokio::select! {
                outcome = self.on_stage(&stage, customers, &log, &mut report) => outcome,
                _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
            };
            let struck = stage.strike().await;
            outcome?;
            struck?;
        }
        if self.wants(Part::P20) {
            report.add("P20", builds::measure(&folder.join("build")).await)?;
        }
        println!("{}", report.markdown());
        Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn wants(&self, part: Part) -> bool {
        self.only.contains(&part)
            || match part {
                Part::P6 => self.p6,
                Part::P20 => self.p20,
                _ => self.only.is_empty() && !part.is_trial(),
            }
    }

    async fn on_stage(&self, stage: &Stage, customers: u64, log: &Path, report: &mut Report) -> anyhow::Result<()> {
        report.facts = machine::facts(stage).await?;
        eprintln!("{customers} customers: seeding");
        report.add("seeding", intake::seed(stage, customers).await)?;
        let sizes = &self.sizes;
        let (rounds, round) = (sizes.rounds(customers), sizes.round());
        let mut scene =
            Scene { stage, server: None, config: &self.config, sync: &self.config.sync, customers, sizes, rounds, round, log };
        scene.server = Some(Server::start(stage, log).await?);
        backlog::loaded(&scene).await?;
        for part in Part::ORDER {
            if !self.wants(part) {
                continue;
            }
            eprintln!("{customers} customers: measuring {part:?}");
            // A measure that failed half-way may have left none.
            if scene.server.is_none() {
                scene.server = Some(Server::start(stage, log).await?);
            }
            scene.sign_in().await?;
            let found = match part {
                Part::P1 => lists::measure(&scene).boxed_local().await,
                Part::P5 => live::measure(&mut scene).boxed_local().await,
                Part::P6 => rival::measure(&mut scene, self.config.redis_url.as_ref()).boxed_local().await,
                Part::P7 => freshness::measure(&scene).boxed_local().await,
                Part::P8 => announce::measure(&mut scene).boxed_local().await,
                Part::P9 => rebuild::measure(&scene).boxed_local().await,
                Part::P9Live => disturbance::measure(&scene).boxed_local().await,
                Part::P10 => hot::measure(&scene).boxed_local().await,
                Part::P19 => footprint::measure(&mut scene).boxed_local().await,
                Part::Outage => trials::outage(&mut scene, self.outage_seconds).boxed_local().await,
                Part::Fanout => trials::fanout(&mut scene, self.children).boxed_local().await,
                Part::Fire => trials::fire(&mut scene).boxed_local().await,
                Part::Drift => trials::drift(&mut scene).boxed_local().await,
                Part::Giant => trials::giant(&mut scene, self.giant_rows).boxed_local().await,
                Part::P20 => Ok(Vec::new()),
            };
            report.add(&format!("{part:?} with {customers} customers"), found)?;
        }
        if let Some(file) = &self.import {
            report.add("import", intake::import(stage, file, customers).await)?;
        }
        scene.stop_server().await
    }
}
