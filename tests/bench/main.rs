//! The benchmark: measures the program against its references in a database and indices of its own. Run it with `bin/bench`.

#![expect(unreachable_pub, reason = "nothing outside of this binary could use what it says is public")]

mod harness;
mod parts;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use collections::config::Config;
use futures_util::FutureExt;

use crate::harness::context::Context;
use crate::harness::report::Report;
use crate::harness::sandbox::Sandbox;
use crate::harness::server::Server;
use crate::harness::sizes::Sizes;
use crate::harness::{catch_up, machine};
use crate::parts::{
    announcements, attacks, builds, bulk_changes, coalescing, embedded_lists, exports, express, freshness, hot_row, lists,
    loading, overload, payment_writes, pgsync, record_reads, reindex, reindex_latency, resources, sockets, sync_rate, trials,
    typing, workbooks,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the program against its references, in a database and indices of its own.
#[derive(Parser)]
#[command(name = "bin/bench")]
struct Options {
    /// Customers in the database; with several sizes everything is measured at each.
    #[arg(long, value_delimiter = ',', default_value = "10000,200000")]
    customers: Vec<u64>,
    /// Measure only these; everything but p6, p13, p17, p20 and the trials if absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Also measure p6, against PGSync, which needs Python and fetches a package.
    #[arg(long)]
    p6: bool,
    /// Also measure p13, against openpyxl and SheetJS, which needs Python and Node and fetches four packages.
    #[arg(long)]
    p13: bool,
    /// Also measure p17, against Express and pg, which needs Node and fetches two packages.
    #[arg(long)]
    p17: bool,
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
    /// Rows of the large transaction.
    #[arg(long, default_value_t = 10_000_000)]
    transaction_rows: u64,
    /// A file of customers whose import is measured too.
    #[arg(long)]
    import: Option<PathBuf>,
    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    config: Config,
    /// Ignored; `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Peak throughput of lists, and their latency at half of it (P2).
    P1,
    /// Latency of search as you type.
    P3,
    /// Latency of lists from the Postgres engine.
    P4,
    /// Throughput of the live sync.
    P5,
    /// First load and live changes against PGSync.
    P6,
    /// From a commit to a list that shows it.
    P7,
    /// P7 for one row that changes 20 times a second.
    P7Hot,
    /// From a commit to its announcement.
    P8,
    /// From a commit to the socket of a client (P8).
    P8s,
    /// Throughput of a reindex.
    P9,
    /// P9: latency of live changes during a reindex.
    P9Live,
    /// Index writes when few rows change often.
    P10,
    /// One record by id.
    P11,
    /// Payments recorded per second.
    P12,
    /// Import of a workbook.
    P13,
    /// Payments as files.
    P14,
    /// Ten thousand idle sockets.
    P15,
    /// A bulk change against one statement.
    P16,
    /// Lists and memory against a minimal implementation with Express and pg.
    P17,
    /// Lists while more are asked for than the server can answer.
    P18,
    /// Memory and startup time.
    P19,
    /// Builds and tests.
    P20,
    /// Trial: lists of one client while another does its worst.
    Attacks,
    /// Trial: writes go on while Elasticsearch is away.
    Outage,
    /// Trial: a customer with very many accounts is renamed.
    Fanout,
    /// Trial: the server is killed during a reindex beside thousands of changes a second.
    ReindexCrash,
    /// Trial: one in a hundred documents is corrupted behind the sync's back.
    Drift,
    /// Trial: one transaction of millions of rows.
    LargeTransaction,
}

impl Part {
    /// In the order in which they are measured: what changes the data most comes last.
    const ORDER: [Self; 27] = [
        Self::P1,
        Self::P3,
        Self::P4,
        Self::P17,
        Self::P18,
        Self::P11,
        Self::P12,
        Self::P7,
        Self::P7Hot,
        Self::P8,
        Self::P8s,
        Self::P15,
        Self::P9,
        Self::P9Live,
        Self::P10,
        Self::P16,
        Self::P5,
        Self::P6,
        Self::P13,
        Self::P14,
        Self::P19,
        Self::Attacks,
        Self::Drift,
        Self::ReindexCrash,
        Self::Outage,
        Self::Fanout,
        Self::LargeTransaction,
    ];

    fn is_trial(self) -> bool {
        matches!(self, Self::Attacks | Self::Outage | Self::Fanout | Self::ReindexCrash | Self::Drift | Self::LargeTransaction)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    Options::parse().run().await
}

impl Options {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let folder = self.report.parent().unwrap_or(Path::new(".")).to_owned();
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let log = folder.join("server.log");
        let mut report = Report::new(&self.report);
        for &customers in &self.customers {
            if self.only == [Part::P20] {
                break;
            }
            let sandbox = Sandbox::create(&self.config.database, &self.config.search).await?;
            // An interrupted run leaves nothing behind either.
            let outcome = tokio::select! {
                outcome = self.measure(&sandbox, customers, &log, &mut report) => outcome,
                _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
            };
            let removed = sandbox.remove().await;
            outcome?;
            removed?;
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
                Part::P13 => self.p13,
                Part::P17 => self.p17,
                Part::P20 => self.p20,
                _ => self.only.is_empty() && !part.is_trial(),
            }
    }

    /// Measures every wanted part with so many customers.
    async fn measure(&self, sandbox: &Sandbox, customers: u64, log: &Path, report: &mut Report) -> anyhow::Result<()> {
        report.facts = machine::facts(sandbox).await?;
        eprintln!("{customers} customers: seeding");
        report.add("seeding", loading::seed(sandbox, customers).await)?;
        let sizes = &self.sizes;
        let (rounds, round) = (sizes.rounds(customers), sizes.round());
        let (config, sync) = (&self.config, &self.config.sync);
        let mut context = Context { sandbox, server: None, config, sync, customers, sizes, rounds, round, log };
        context.server = Some(Server::start(sandbox, log).await?);
        catch_up::wait_until_loaded(&context).await?;
        for part in Part::ORDER {
            if !self.wants(part) {
                continue;
            }
            eprintln!("{customers} customers: measuring {part:?}");
            // A part that failed half-way may have left none.
            if context.server.is_none() {
                context.server = Some(Server::start(sandbox, log).await?);
            }
            context.sign_in().await?;
            let found = match part {
                Part::P1 => lists::measure(&context).boxed_local().await,
                Part::P3 => typing::measure(&context).boxed_local().await,
                Part::P4 => embedded_lists::measure(&context).boxed_local().await,
                Part::P17 => express::measure(&context).boxed_local().await,
                Part::P5 => sync_rate::measure(&mut context).boxed_local().await,
                Part::P6 => pgsync::measure(&mut context, self.config.redis_url.as_ref()).boxed_local().await,
                Part::P7 => freshness::measure(&context).boxed_local().await,
                Part::P7Hot => hot_row::measure(&context).boxed_local().await,
                Part::P8 => announcements::measure(&mut context).boxed_local().await,
                Part::P8s => sockets::latency(&context).boxed_local().await,
                Part::P15 => sockets::idle(&mut context).boxed_local().await,
                Part::P9 => reindex::measure(&context).boxed_local().await,
                Part::P9Live => reindex_latency::measure(&context).boxed_local().await,
                Part::P10 => coalescing::measure(&context).boxed_local().await,
                Part::P11 => record_reads::measure(&context).boxed_local().await,
                Part::P12 => payment_writes::measure(&context).boxed_local().await,
                Part::P13 => workbooks::measure(&context).boxed_local().await,
                Part::P14 => exports::measure(&mut context).boxed_local().await,
                Part::P16 => bulk_changes::measure(&context).boxed_local().await,
                Part::P18 => overload::measure(&context).boxed_local().await,
                Part::P19 => resources::measure(&mut context).boxed_local().await,
                Part::Attacks => attacks::measure(&context).boxed_local().await,
                Part::Outage => trials::outage::measure(&mut context, self.outage_seconds).boxed_local().await,
                Part::Fanout => trials::fanout::measure(&mut context, self.children).boxed_local().await,
                Part::ReindexCrash => trials::reindex_crash::measure(&mut context).boxed_local().await,
                Part::Drift => trials::drift::measure(&mut context).boxed_local().await,
                Part::LargeTransaction => {
                    trials::large_transaction::measure(&mut context, self.transaction_rows).boxed_local().await
                }
                Part::P20 => Ok(Vec::new()),
            };
            report.add(&format!("{part:?} with {customers} customers"), found)?;
        }
        if let Some(file) = &self.import {
            report.add("import", loading::import(sandbox, file, customers).await)?;
        }
        context.stop_server().await
    }
}
