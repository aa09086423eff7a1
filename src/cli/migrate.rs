//! `collections migrate`: applies migrations and lists them.

use std::collections::HashMap;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use sqlx::migrate::Migrate as _;

use crate::config::Database;
use crate::db;

/// Applies migrations, or lists them.
#[derive(Args)]
pub(super) struct Migrate {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    database: Database,
}

#[derive(Subcommand)]
enum Action {
    /// Apply all pending migrations.
    Up,
    /// List the migrations and their state; exits with 1 if one is pending.
    Status,
}

impl Migrate {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut connection = db::connect_owner(&self.database).await.context("cannot connect to Postgres")?;
        match self.action {
            Action::Up => {
                let before = applied(&mut connection).await?.len();
                db::MIGRATIONS
                    .run_direct(None, &mut connection, false)
                    .await
                    .context("a migration failed; later ones were not applied")?;
                println!(
                    "{} migrations applied, {} in total",
                    applied(&mut connection).await?.len() - before,
                    db::MIGRATIONS.iter().count()
                );
                Ok(ExitCode::SUCCESS)
            }
            Action::Status => {
                let applied = applied(&mut connection).await?;
                let mut pending = 0;
                for migration in db::MIGRATIONS.iter() {
                    let state = match applied.get(&migration.version) {
                        Some(checksum) if *checksum == migration.checksum => "applied",
                        Some(_) => "changed since it was applied",
                        None => "pending",
                    };
                    pending += usize::from(state != "applied");
                    println!("{} {:<12} {state}", migration.version, migration.description);
                }
                Ok(if pending == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
        }
    }
}

async fn applied(connection: &mut sqlx::PgConnection) -> anyhow::Result<HashMap<i64, std::borrow::Cow<'static, [u8]>>> {
    connection.ensure_migrations_table(&db::MIGRATIONS.table_name).await?;
    let applied = connection.list_applied_migrations(&db::MIGRATIONS.table_name).await?;
    Ok(applied.into_iter().map(|migration| (migration.version, migration.checksum)).collect())
}
