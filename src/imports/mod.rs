//! Imports: the rows of a file become customers, accounts and payments, by the rules and the SQL of requests.
//!
//! A file is read twice. The survey checks that it can be read and what its columns hold, before anything is written. Then a
//! thread reads rows, at most two batches ahead of the transactions that insert them, so memory does not grow with the file.
//! Every row has a key, and a row whose key exists is skipped: an interrupted import is resumed by running it again. Only `sheets`
//! knows the format of the file.

mod fields;
pub mod guide;
pub mod mapping;
mod read;
mod report;
mod run;
pub mod store;
pub mod suggestion;
mod targets;
pub mod workbooks;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, Utc};
use encoding_rs::Encoding;
use sqlx::PgPool;
use tokio::sync::mpsc;

pub use crate::imports::fields::Target;
pub use crate::imports::read::header::Mapping;
pub use crate::imports::read::value::{DayOrder, Decimal, Forms};
pub use crate::imports::report::{Event, Issue, Severity, Summary};

use crate::api::{self, Authority};
use crate::config;
use crate::imports::read::record::Record;
use crate::imports::read::survey::{self, Survey};
use crate::imports::run::batch::{self, Draft, Seen};
use crate::imports::targets::{accounts, customers, payments};
use crate::values::money::Currency;

/// A file to import, and how.
#[derive(Clone, Debug)]
pub struct Import {
    /// What the rows become.
    pub target: Target,
    pub path: PathBuf,
    /// Fields that the operator assigns to headings.
    pub mappings: Vec<Mapping>,
    /// Encoding of a file without a byte order mark; UTF-8 by default.
    pub encoding: Option<&'static Encoding>,
    /// Separator of cells; by default the most frequent one of the first line.
    pub delimiter: Option<u8>,
    /// How days such as 03/04/2025 are read; by default decided for each column.
    pub days: Option<DayOrder>,
    /// Decimal separator; by default decided for each column.
    pub decimal: Option<Decimal>,
    /// Rolls every batch back.
    pub dry_run: bool,
    pub limits: config::Imports,
    /// Currency of amounts that name none.
    pub currency: Currency,
    /// Region of phone numbers without a country code.
    pub region: String,
    /// Largest payment, in major units of its currency.
    pub payment_max: u32,
    /// What the importing person may do in the ledger.
    pub authority: Authority,
    pub now: DateTime<Utc>,
}

/// Nothing was imported, because the file or an option is wrong; the source says what.
#[derive(Debug, thiserror::Error)]
#[error("the file cannot be imported")]
pub struct Unusable;

impl Import {
    /// Imports the file. A row that fails is reported and does not stop the others.
    ///
    /// Can be dropped at any time: committed batches stay, and running the import again does the rest.
    ///
    /// # Errors
    /// [`Unusable`], before anything is written; or the database fails, and later rows were not tried.
    pub async fn run(self, pool: &PgPool, report: impl FnMut(Event) + Send) -> anyhow::Result<Summary> {
        let import = Arc::new(self);
        let surveyor = Arc::clone(&import);
        let survey = Arc::new(tokio::task::spawn_blocking(move || survey::survey(&surveyor)).await?.context(Unusable)?);
        match import.target {
            Target::Customers => import_as::<customers::Draft>(pool, import, survey, report).await,
            Target::Accounts => import_as::<accounts::Draft>(pool, import, survey, report).await,
            Target::Payments => import_as::<payments::Draft>(pool, import, survey, report).await,
        }
    }
}

impl Import {
    fn context(&self) -> api::Context<'_> {
        api::Context {
            by: None,
            now: self.now,
            currency: self.currency,
            region: &self.region,
            payment_max: self.payment_max,
            authority: self.authority,
            is_strict: true,
        }
    }
}

async fn import_as<D: Draft>(
    pool: &PgPool,
    import: Arc<Import>,
    survey: Arc<Survey>,
    mut report: impl FnMut(Event) + Send,
) -> anyhow::Result<Summary> {
    report(Event::Header(survey.header.show(import.target)));
    let (sender, mut batches) = mpsc::channel(2);
    let reader = tokio::task::spawn_blocking({
        let (import, survey) = (Arc::clone(&import), Arc::clone(&survey));
        move || read(&import, &survey, &sender)
    });
    let mut summary = Summary::default();
    let mut seen = Seen::default();
    while let Some(records) = batches.recv().await {
        let outcome = batch::write::<D>(pool, &import, &survey, records, &mut seen)
            .await
            .with_context(|| format!("stopped after {} rows; running it again does the rest", summary.rows))?;
        summary += outcome.summary;
        outcome.issues.into_iter().for_each(|issue| report(Event::Issue(issue)));
        report(Event::Progress(summary, survey.rows));
    }
    reader.await??;
    Ok(summary)
}

/// Reads the rows after the header, until the file ends or the receiver is gone.
fn read(import: &Import, survey: &Survey, sender: &mpsc::Sender<Vec<Record>>) -> anyhow::Result<()> {
    let (_, mut rows) = survey::open(import)?;
    let mut batch = Vec::new();
    while let Some(row) = rows.next_row()? {
        batch.push(match row {
            Ok(row) => Record::read(row, survey),
            Err(broken) => Record::broken(broken),
        });
        if batch.len() >= import.limits.batch_size && sender.blocking_send(std::mem::take(&mut batch)).is_err() {
            return Ok(());
        }
    }
    // The receiver is gone if the database failed, and that error is returned there.
    let _ = sender.blocking_send(batch);
    Ok(())
}
