//! `collections seed`: synthetic customers, the same from the same seed.

mod activities;
mod demo;
mod locales;
mod people;
mod random;
mod tables;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use chrono::NaiveDate;
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use sqlx::{Executor, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::seed::people::Generator;
use super::seed::tables::Tables;
use crate::config::{Database, Environment};
use crate::db;
use crate::values::clock::Clock;

/// Customers in one transaction: the ledger's trigger runs once for each, and their rows take some megabytes.
const CHUNK: u64 = 1_000;
/// More than a small machine has cores, because Postgres does most of the work.
const CONNECTIONS: usize = 4;

/// Foreign keys and the ledger's trigger take half of the time, and these rows are consistent. Only a superuser may disable them.
const WITHOUT_TRIGGERS: &str = "set session_replication_role = replica";

/// Creates the missing synthetic customers of a seed, with accounts and payments.
#[derive(Args)]
pub(super) struct Seed {
    /// Number of customers.
    #[arg(long, default_value_t = 1_000)]
    customers: u64,
    /// Decides every name, number and identifier; another seed creates other customers.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Day around which debts are due; today if absent.
    #[arg(long)]
    today: Option<NaiveDate>,
    /// Do nothing if customers exist.
    #[arg(long)]
    if_empty: bool,
    /// Also create the logins admin/admin123, manager/manager123, agent/agent123 and viewer/viewer123; refused in production.
    #[arg(long)]
    demo: bool,
    /// Kind of deployment.
    #[arg(long, env = "APP_ENV", default_value = "development")]
    environment: Environment,
    #[command(flatten)]
    database: Database,
}

impl Seed {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(
            !(self.demo && self.environment == Environment::Production),
            "demo logins have known passwords; they are not created in production"
        );
        let mut connection = db::connect_owner(&self.database).await.context("cannot connect to Postgres")?;
        if self.demo {
            demo::create_users(&mut connection, &Clock::default()).await?;
        }
        if self.if_empty && any_customer(&mut connection).await? {
            println!("customers exist, nothing seeded");
            return Ok(ExitCode::SUCCESS);
        }
        let started = Instant::now();
        let (customers, rows) = self.fill().await?;
        if customers == 0 {
            println!("all {} customers of seed {} exist; another --seed creates others", HumanCount(self.customers), self.seed);
            return Ok(ExitCode::SUCCESS);
        }
        // Without statistics Postgres would plan the first searches for empty tables.
        connection
            .execute("analyze customers, contact_points, addresses, accounts, payments, ledger_entries, activities")
            .await?;
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{} customers seeded, {} rows in {seconds:.1} s ({} rows/s)",
            HumanCount(customers),
            HumanCount(rows),
            HumanCount((rows as f64 / seconds) as u64)
        );
        Ok(ExitCode::SUCCESS)
    }

    /// Creates missing customers on several connections; returns the numbers of customers and rows.
    async fn fill(&self) -> anyhow::Result<(u64, u64)> {
        let today = self.today.unwrap_or_else(|| Clock::default().today());
        let mut connection = db::connect_owner(&self.database).await?;
        let with_balances = connection.execute(WITHOUT_TRIGGERS).await.is_ok();
        let generator = Arc::new(Generator { seed: self.seed, today, locales: locales::read()?, with_balances });
        let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} customers, {eta} left")?;
        let progress = ProgressBar::new(self.customers).with_style(style);
        let next = Arc::new(AtomicU64::new(0));
        let mut fillers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (generator, next, progress, end) = (generator.clone(), next.clone(), progress.clone(), self.customers);
            let mut connection = db::connect_owner(&self.database).await?;
            connection.execute("set statement_timeout = '5min'").await?;
            if with_balances {
                connection.execute(WITHOUT_TRIGGERS).await?;
            }
            fillers.spawn(async move {
                let (mut customers, mut rows) = (0, 0);
                loop {
                    let first = next.fetch_add(CHUNK, Ordering::Relaxed);
                    if first >= end {
                        return anyhow::Ok((customers, rows));
                    }
                    let indexes = first..(first + CHUNK).min(end);
                    let size = indexes.end - indexes.start;
                    let created = fill_chunk(&mut connection, &generator, indexes).await?;
                    customers += created.0;
                    rows += created.1;
                    progress.inc(size);
                }
            });
        }
        let (mut customers, mut rows) = (0, 0);
        while let Some(created) = fillers.join_next().await {
            let created = created??;
            customers += created.0;
            rows += created.1;
        }
        progress.finish_and_clear();
        Ok((customers, rows))
    }
}

/// Creates the missing customers of these indexes, so that an interrupted run can be repeated.
async fn fill_chunk(
    connection: &mut PgConnection,
    generator: &Generator,
    indexes: std::ops::Range<u64>,
) -> anyhow::Result<(u64, u64)> {
    let ids: Vec<Uuid> = indexes.clone().map(|index| generator.id(index)).collect();
    let existing: Vec<Uuid> = sqlx::query_scalar!(
        r#"
        select id
        from customers
        where id = any($1)
        "#,
        &ids
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut tables = Tables::default();
    let mut customers = 0;
    for (index, id) in indexes.zip(ids) {
        if !existing.contains(&id) {
            generator.write(index, &mut tables)?;
            customers += 1;
        }
    }
    if customers == 0 {
        return Ok((0, 0));
    }
    Ok((customers, tables.load(connection).await.context("cannot load the rows")?))
}

async fn any_customer(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from customers) as "exists!""#).fetch_one(connection).await
}
