//! Files that become imports, worked by jobs in this process.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use collections::app::App;
use collections::imports::intake::{self, Unusable, Wish};
use collections::imports::run::{self, Task};
use collections::imports::store::{self, Counts, Import, Mode, Options};
use collections::imports::{Issue, Target};
use collections::jobs::{self, State, Terms};
use collections::values::clock::Clock;
use collections::values::ids::ImportId;
use collections::worker;

use crate::harness::app::config;
use crate::harness::database::Database;

/// A database to import into.
pub struct Importer {
    pub database: Database,
    pub app: App,
}

/// What came of an import.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub id: ImportId,
    pub counts: Counts,
    pub issues: Vec<Issue>,
}

/// An import of records with all defaults.
pub fn wish(target: Target) -> Wish {
    Wish {
        target,
        mode: None,
        key: None,
        blank: None,
        sheet: None,
        header_row: None,
        options: Options::default(),
        choices: Vec::new(),
    }
}

/// The same that changes records.
pub fn upsert(target: Target) -> Wish {
    Wish { mode: Some(Mode::Upsert), ..wish(target) }
}

impl Importer {
    pub async fn open() -> Self {
        let database = Database::create().await;
        let app = open(&database);
        Self { database, app }
    }

    /// Stores a file, which may be refused.
    pub async fn store(&self, wish: Wish, bytes: impl AsRef<[u8]>) -> anyhow::Result<Import> {
        store_file(&self.app, wish, bytes).await
    }

    /// Enqueues a task and works it.
    pub async fn work(&self, id: ImportId, task: Task) -> State {
        let job = start(&self.app, id, task).await.unwrap();
        jobs::work(&self.app, worker::kinds(), job).await.unwrap()
    }

    pub async fn run(&self, wish: Wish, bytes: impl AsRef<[u8]>, task: Task) -> anyhow::Result<Outcome> {
        let import = self.store(wish, bytes).await?;
        self.work(import.id, task).await;
        let import = self.find(import.id).await;
        if let Some(problem) = import.problem {
            anyhow::bail!(problem);
        }
        let counts = if task == Task::Validate { *import.validated } else { *import.committed };
        let (issues, _) = store::rows::issues(&self.app.db.server, import.id, 0, 100_000).await?;
        Ok(Outcome { id: import.id, counts, issues })
    }

    /// Commits a file.
    pub async fn commit(&self, wish: Wish, bytes: impl AsRef<[u8]>) -> Outcome {
        self.run(wish, bytes, Task::Commit).await.unwrap()
    }

    /// Commits a file of new records.
    pub async fn import(&self, target: Target, bytes: impl AsRef<[u8]>) -> Outcome {
        self.commit(wish(target), bytes).await
    }

    /// Imports an unusable file and returns the reason.
    pub async fn refusal(&self, bytes: impl AsRef<[u8]>) -> String {
        let error = self.run(wish(Target::Customers), bytes, Task::Commit).await.unwrap_err();
        let root = error.downcast_ref::<Unusable>().and_then(std::error::Error::source).map(ToString::to_string);
        root.unwrap_or_else(|| error.to_string())
    }

    pub async fn find(&self, id: ImportId) -> Import {
        store::find(&self.app.db.server, id).await.unwrap().unwrap()
    }

    pub async fn count(&self, table: &str) -> i64 {
        let count = format!("select count(*) from {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&self.database.pool).await.unwrap()
    }

    pub async fn text(&self, query: &'static str) -> Option<String> {
        sqlx::query_scalar(query).fetch_one(&self.database.pool).await.unwrap()
    }
}

/// An application on the database, with short leases and the program that reads workbooks.
pub fn open(database: &Database) -> App {
    let mut config = config(database, &[]);
    config.imports.sheets.program = PathBuf::from(env!("CARGO_BIN_EXE_collections"));
    config.jobs.lease = Duration::from_millis(700);
    App::open(config, Clock::default()).unwrap()
}

pub async fn store_file(app: &App, wish: Wish, bytes: impl AsRef<[u8]>) -> anyhow::Result<Import> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes.as_ref())?;
    let name = if bytes.as_ref().starts_with(b"PK") { "file.xlsx" } else { "file.csv" };
    Ok(intake::open(app, file, name, wish).await?.0)
}

pub async fn start(app: &App, id: ImportId, task: Task) -> collections::error::Result<collections::values::ids::JobId> {
    let mut transaction = app.db.server.begin().await.unwrap();
    let mut import = store::lock(&mut transaction, id).await?;
    let job = run::start(app, &mut transaction, &mut import, task, Terms::default()).await?;
    transaction.commit().await.unwrap();
    Ok(job)
}

/// Counts of created, skipped and failed rows, and of warnings.
pub fn counts(created: u64, skipped: u64, failed: u64, warnings: u64) -> Counts {
    Counts { rows: created + skipped + failed, created, skipped, failed, warnings, ..Counts::default() }
}

/// The places and codes of issues.
pub fn places(issues: &[Issue]) -> Vec<String> {
    issues.iter().map(|issue| format!("{} {}", issue.cell.clone().unwrap_or_else(|| issue.row.to_string()), issue.code)).collect()
}
