//! `collections seed`: synthetic customers, the same from the same seed.

mod demo;
mod dice;
mod locales;
mod people;
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

use super::seed::people::Recipe;
use super::seed::tables::Tables;
use crate::config::{Database, Environment};
use crate::db;
use crate::values::clock::Clock;

/// Customers to one transaction: enough that a balance's trigger runs seldom, few enough for some megabytes of rows.
const CHUNK: u64 = 1_000;
/// Connections. Postgres does most of the work, so a few more than a small machine has cores.
const CONNECTIONS: usize = 4;

/// Foreign keys and the ledger's trigger cost half of the time, and these rows are right by construction. Only a superuser may do
/// without them; for others the triggers run.
const WITHOUT_TRIGGERS: &str = "set session_replication_role = replica";

/// Makes sure that the synthetic customers of a seed are there: those that are missing are made, with all that belongs to them.
#[derive(Args)]
pub(super) struct Seed {
    /// How many customers there shall be.
    #[arg(long, default_value_t = 1_000)]
    customers: u64,
    /// What decides every name, number and identifier. Another seed makes other customers.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Day around which debts fall due; the current one if absent.
    #[arg(long)]
    today: Option<NaiveDate>,
    /// Do nothing if there is any customer.
    #[arg(long)]
    if_empty: bool,
    /// Also make the logins admin/admin123, manager/manager123, agent/agent123 and viewer/viewer123; refused in production.
    #[arg(long)]
    demo: bool,
    /// What is asked of a deployment.
    #[arg(long, env = "APP_ENV", default_value = "development")]
    environment: Environment,
    #[command(flatten)]
    database: Database,
}

impl Seed {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(
            !(self.demo && self.environment == Environment::Production),
            "demo logins have known passwords; they are not made in production"
        );
        let mut connection = db::connect_owner(&self.database).await.context("cannot connect to Postgres")?;
        if self.demo {
            demo::make_users(&mut connection, &Clock::default()).await?;
        }
        if self.if_empty && any_customer(&mut connection).await? {
            println!("there are customers, nothing is seeded");
            return Ok(ExitCode::SUCCESS);
        }
        let started = Instant::now();
        let (customers, rows) = self.fill().await?;
        if customers == 0 {
            println!("all {} customers of seed {} are there; another --seed makes others", HumanCount(self.customers), self.seed);
            return Ok(ExitCode::SUCCESS);
        }
        // Without fresh statistics the first searches in SQL would be planned for empty tables.
        connection.execute("analyze customers, contact_points, addresses, accounts, payments, ledger_entries").await?;
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{} customers seeded, {} rows in {seconds:.1} s ({} rows/s)",
            HumanCount(customers),
            HumanCount(rows),
            HumanCount((rows as f64 / seconds) as u64)
        );
        Ok(ExitCode::SUCCESS)
    }

    /// Makes what is missing, chunk by chunk on several connections; returns the customers and rows made.
    async fn fill(&self) -> anyhow::Result<(u64, u64)> {
        let today = self.today.unwrap_or_else(|| Clock::default().today());
        let mut connection = db::connect_owner(&self.database).await?;
        let with_balances = connection.execute(WITHOUT_TRIGGERS).await.is_ok();
        let recipe = Arc::new(Recipe { seed: self.seed, today, locales: locales::read()?, with_balances });
        let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} customers, {eta} left")?;
        let progress = ProgressBar::new(self.customers).with_style(style);
        let next = Arc::new(AtomicU64::new(0));
        let mut fillers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (recipe, next, progress, end) = (recipe.clone(), next.clone(), progress.clone(), self.customers);
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
                    let made = fill_chunk(&mut connection, &recipe, indexes).await?;
                    customers += made.0;
                    rows += made.1;
                    progress.inc(size);
                }
            });
        }
        let (mut customers, mut rows) = (0, 0);
        while let Some(made) = fillers.join_next().await {
            let made = made??;
            customers += made.0;
            rows += made.1;
        }
        progress.finish_and_clear();
        Ok((customers, rows))
    }
}

/// Makes the customers of these indexes that are missing; so an interrupted run is taken up by running it again.
async fn fill_chunk(connection: &mut PgConnection, recipe: &Recipe, indexes: std::ops::Range<u64>) -> anyhow::Result<(u64, u64)> {
    let ids: Vec<Uuid> = indexes.clone().map(|index| recipe.id(index)).collect();
    let there: Vec<Uuid> = sqlx::query_scalar!(
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
        if !there.contains(&id) {
            recipe.write(index, &mut tables)?;
            customers += 1;
        }
    }
    if customers == 0 {
        return Ok((0, 0));
    }
    Ok((customers, tables.load(connection).await.context("the rows could not be loaded")?))
}

async fn any_customer(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from customers) as "exists!""#).fetch_one(connection).await
}
