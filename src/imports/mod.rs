//! Files that come in: rows of a sheet become customers, accounts and payments by the same rules and the same store as a
//! client's requests.
//!
//! A file is read twice. The survey finds out whether it can be read and what its columns hold, before anything is written. Then
//! a thread reads rows, at most two batches ahead of the transactions that insert them, so memory does not grow with the file.
//! Every row has a key; one whose key is there already is left alone, so a run that was interrupted is taken up by running it
//! again. Another kind of file is another reader of rows beside `csv`; the rest does not know where rows come from.

mod accounts;
mod batch;
mod csv;
mod customers;
mod fields;
mod header;
mod payments;
mod record;
mod report;
mod survey;
mod text;
mod value;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, Utc};
use encoding_rs::Encoding;
use sqlx::PgPool;
use tokio::sync::mpsc;

pub use crate::imports::fields::Target;
pub use crate::imports::header::Mapping;
pub use crate::imports::report::{Event, Issue, Severity, Summary};
pub use crate::imports::value::{DayOrder, Decimal};

use crate::api::{self, Authority};
use crate::config;
use crate::imports::batch::{Draft, Seen};
use crate::imports::record::Record;
use crate::imports::survey::Survey;
use crate::values::money::Currency;

/// A file to import, and how to read it.
#[derive(Clone, Debug)]
pub struct Import {
    /// What the rows become.
    pub target: Target,
    /// Where the file is.
    pub path: PathBuf,
    /// Fields that the operator assigns to headings.
    pub mappings: Vec<Mapping>,
    /// What it is written in, if not UTF-8.
    pub encoding: Option<&'static Encoding>,
    /// What separates its cells; the most frequent of its first line if absent.
    pub delimiter: Option<u8>,
    /// How days such as 03/04/2025 are read; as their column shows if absent.
    pub days: Option<DayOrder>,
    /// What separates decimals; what the column shows if absent.
    pub decimal: Option<Decimal>,
    /// Do everything, and then undo it.
    pub dry_run: bool,
    /// The limits.
    pub limits: config::Imports,
    /// Currency of amounts that name none.
    pub currency: Currency,
    /// Region of phone numbers without a country code.
    pub region: String,
    /// Largest payment, in major units of its currency.
    pub payment_max: u32,
    /// What the one who imports may do in the ledger.
    pub authority: Authority,
    /// The moment.
    pub now: DateTime<Utc>,
}

/// The reason why nothing of a file was imported: the file itself, or what was said of it.
#[derive(Debug, thiserror::Error)]
#[error("the file cannot be imported")]
pub struct Unusable;

impl Import {
    /// Imports the file. Rows that fail are told and do not stop the others; an error means that the rest was not tried.
    ///
    /// May be dropped at any time: batches that were committed stay, and running it again does the rest.
    ///
    /// # Errors
    /// [`Unusable`], before anything is written; or a database that goes away.
    pub async fn run(self, pool: &PgPool, hear: impl FnMut(Event) + Send) -> anyhow::Result<Summary> {
        let import = Arc::new(self);
        let surveyor = Arc::clone(&import);
        let survey = Arc::new(tokio::task::spawn_blocking(move || survey::survey(&surveyor)).await?.context(Unusable)?);
        match import.target {
            Target::Customers => import_as::<customers::Draft>(pool, import, survey, hear).await,
            Target::Accounts => import_as::<accounts::Draft>(pool, import, survey, hear).await,
            Target::Payments => import_as::<payments::Draft>(pool, import, survey, hear).await,
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
    mut hear: impl FnMut(Event) + Send,
) -> anyhow::Result<Summary> {
    hear(Event::Header(survey.header.show(import.target)));
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
        outcome.issues.into_iter().for_each(|issue| hear(Event::Issue(issue)));
        hear(Event::Progress(summary, survey.rows));
    }
    reader.await??;
    Ok(summary)
}

/// Reads the rows after the header, until the file ends or the receiver is gone.
fn read(import: &Import, survey: &Survey, sender: &mpsc::Sender<Vec<Record>>) -> anyhow::Result<()> {
    let (_, mut rows) = survey::open(import)?;
    let mut batch = Vec::new();
    while let Some(row) = rows.next()? {
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
