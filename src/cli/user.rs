//! `collections user`: manages users.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::auth::{Role, lockout, password, password_rules};
use crate::config::Database;
use crate::db::Pools;
use crate::error::Violations;
use crate::features::users::{self, store};
use crate::values::clock::Clock;

const NO_SUCH_USER: &str = "no such user";

/// Adds users, changes their passwords and roles, disables, unlocks and lists them.
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
    /// Change a role and end all sessions of the user.
    Role {
        /// User name.
        username: String,
        /// viewer, agent, manager or admin.
        role: Role,
    },
    /// Keep a user from signing in, and end all sessions.
    Disable {
        /// User name.
        username: String,
    },
    /// Let a disabled user sign in again.
    Enable {
        /// User name.
        username: String,
    },
    /// Let a user sign in again whose log-ins are locked after too many wrong passwords.
    Unlock {
        /// User name.
        username: String,
    },
    /// List all users.
    List,
    /// List the roles with their permissions.
    Roles,
}

impl User {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let db = Pools::open(&self.database)?.server;
        match self.action {
            Action::Add { username, role, email, name } => {
                let password_hash = new_password([Some(username.as_str()), email.as_deref()]).await?;
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
            Action::Passwd { username } => {
                let password_hash = new_password([Some(username.as_str()), None]).await?;
                store::set_password(&db, &username, &password_hash).await?.context(NO_SUCH_USER)?;
                println!("changed the password of {username} and ended all sessions");
            }
            Action::Role { username, role } => {
                store::set_role(&db, &username, role).await?.context(NO_SUCH_USER)?;
                println!("{username} is {} now; ended all sessions", role.as_str());
            }
            Action::Disable { username } => {
                store::set_disabled(&db, &username, Some(Clock::default().now())).await?.context(NO_SUCH_USER)?;
                println!("disabled {username} and ended all sessions");
            }
            Action::Enable { username } => {
                store::set_disabled(&db, &username, None).await?.context(NO_SUCH_USER)?;
                println!("enabled {username}");
            }
            Action::Unlock { username } => {
                let user = store::id_of(&db, &username).await?.context(NO_SUCH_USER)?;
                lockout::unlock(&db, user).await?;
                println!("unlocked {username}");
            }
            Action::List => {
                for user in store::list(&db).await? {
                    let email = user.email.unwrap_or_default();
                    let state = if user.disabled_at.is_some() { "disabled" } else { "" };
                    println!("{:<20} {:<8} {email:<30} {state}", user.username, user.role);
                }
            }
            Action::Roles => {
                for (role, permissions) in users::permissions_of_roles(&db).await? {
                    println!("{:<8} {}", role.as_str(), permissions.names().join(", "));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads a new password of a user with these names, by the rules that count for all; returns its hash.
async fn new_password(names: [Option<&str>; 2]) -> anyhow::Result<String> {
    let (password, mut violations) = (read_password()?, Violations::default());
    password_rules::check("the password", &password, names.into_iter().flatten(), &mut violations);
    violations.check()?;
    Ok(password::hash(password).await?)
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
