//! `collections user`: manages users.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use sqlx::PgPool;

use crate::auth::{Role, password, session};
use crate::config::Database;
use crate::db::Pools;
use crate::features::users::store;
use crate::values::clock::Clock;

/// Adds users, changes their passwords, lists them.
#[derive(Args)]
pub(super) struct User {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    database: Database,
}

#[derive(Subcommand)]
enum Action {
    /// Add a user; asks for the password, or reads it from standard input.
    Add {
        /// User name.
        username: String,
        /// viewer, agent, manager or admin.
        #[arg(long, default_value = "viewer")]
        role: Role,
        /// E-mail address, which can be used to sign in too.
        #[arg(long)]
        email: Option<String>,
        /// Display name.
        #[arg(long)]
        name: Option<String>,
    },
    /// Change a password and end all sessions of the user.
    Passwd {
        /// User name.
        username: String,
    },
    /// List all users.
    List,
}

impl User {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let db = Pools::open(&self.database)?.server;
        match self.action {
            Action::Add { username, role, email, name } => {
                let password_hash = password::hash(read_password()?).await?;
                let new = store::New {
                    username: &username,
                    email: email.as_deref(),
                    name: name.as_deref(),
                    role,
                    password_hash: &password_hash,
                };
                store::insert(&db, new, Clock::default().now()).await?;
                println!("added {username}, {}", role.as_str());
            }
            Action::Passwd { username } => change_password(&db, &username).await?,
            Action::List => {
                for user in store::list(&db).await? {
                    let email = user.email.unwrap_or_default();
                    let state = if user.disabled_at.is_some() { "disabled" } else { "" };
                    println!("{:<20} {:<8} {email:<30} {state}", user.username, user.role);
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn change_password(db: &PgPool, username: &str) -> anyhow::Result<()> {
    let password_hash = password::hash(read_password()?).await?;
    let mut transaction = db.begin().await?;
    let user = store::set_password(&mut *transaction, username, &password_hash).await?.context("no such user")?;
    let ended = session::end_all(&mut *transaction, user, Clock::default().now()).await?;
    transaction.commit().await?;
    println!("password changed; {ended} sessions ended");
    Ok(())
}

/// Reads one line from standard input. An argument would be visible to every user of the machine.
fn read_password() -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        print!("password (it will be shown): ");
        std::io::stdout().flush()?;
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
