//! `collections export`: writes a whole list to a file or to standard output.

use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use futures_util::TryStreamExt;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;

use super::connect;
use crate::audit::{Action, Entry};
use crate::collections;
use crate::config::Config;
use crate::exports::{self, Begun, Occasion, Plan, Wanted};
use crate::search::Collection;
use crate::values::ids;
use crate::values::personal::Disclosure;

/// The exit code of arguments that cannot be read.
const UNUSABLE: u8 = 2;

/// Exports a list as it is in Postgres, unmasked.
///
/// A file appears under its name when it is complete.
#[derive(Args)]
pub(super) struct Export {
    /// Collection: customers, accounts, payments or activities.
    #[arg(long)]
    target: String,
    /// Conditions and order of the list, as in its address: `status=open&sort=-balance`. May be repeated.
    #[arg(long = "filter", value_name = "NAME=VALUE")]
    filters: Vec<String>,
    /// Kind of file: csv, xlsx or jsonl.
    #[arg(long, default_value = "csv")]
    format: String,
    /// Members to show, with commas between; `*` is all.
    #[arg(long)]
    columns: Option<String>,
    /// Write texts as they are, even those that a spreadsheet would calculate, and no byte order mark.
    #[arg(long)]
    raw: bool,
    /// Time zone of days and times, such as Europe/Berlin.
    #[arg(long)]
    tz: Option<String>,
    /// File to write; standard output if absent.
    #[arg(long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    config: Config,
}

impl Export {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let collection = listed(&self.target)?;
        let parameters = self.parameters();
        let app = connect::open(self.config).await?;
        let occasion = Occasion::new(Disclosure::Full, app.clock.now());
        let plan = match Plan::read(&app, collection, &parameters, occasion) {
            Err(error) if error.status() < 500 => {
                eprintln!("error: {error}");
                return Ok(ExitCode::from(UNUSABLE));
            }
            plan => plan?,
        };
        let mut details = plan.details(&app);
        let Begun { total, mut file, .. } = exports::begin(&app, plan, Wanted::Stored).await?;
        details["rows"] = total.into();
        let entry = Entry {
            at: app.clock.now(),
            actor: None,
            request: ids::new().to_string(),
            action: Action::Export,
            kind: collection.name,
            subject: None,
            details: Some(details.to_string()),
        };
        app.audit.write(entry).await?;
        let bar = progress()?;
        let mut output = Output::open(self.output.as_deref())?;
        while let Some(chunk) = file.try_next().await? {
            output.write(&*chunk)?;
            bar.inc(chunk.len() as u64);
        }
        output.finish()?;
        bar.finish_and_clear();
        eprintln!("{} records, {}", HumanCount(total), HumanBytes(bar.position()));
        Ok(ExitCode::SUCCESS)
    }

    fn parameters(&self) -> Vec<(String, String)> {
        let filters = self.filters.iter().flat_map(|filter| form_urlencoded::parse(filter.as_bytes()).into_owned());
        let named = [
            ("format", Some(self.format.clone())),
            ("columns", self.columns.clone()),
            ("raw", self.raw.then(|| "true".to_owned())),
            ("tz", self.tz.clone()),
        ];
        filters.chain(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))).collect()
    }
}

fn listed(target: &str) -> anyhow::Result<&'static Collection> {
    collections::ALL.into_iter().find(|collection| collection.name == target).with_context(|| {
        let names = collections::ALL.map(|collection| collection.name);
        format!("there is no collection {target}; there are {}", names.join(", "))
    })
}

/// On standard error, so that a file on standard output stays whole.
fn progress() -> anyhow::Result<ProgressBar> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    Ok(ProgressBar::no_length().with_style(ProgressStyle::with_template("{spinner} {bytes}, {bytes_per_sec}, {elapsed}")?))
}

/// Where the file of a command goes.
pub(super) enum Output<'a> {
    Standard,
    /// Written beside its place, and put there when it is complete.
    File(NamedTempFile, &'a Path),
}

impl<'a> Output<'a> {
    pub(super) fn open(path: Option<&'a Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Standard) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = NamedTempFile::new_in(folder).with_context(|| format!("cannot write to {}", folder.display()))?;
        Ok(Self::File(file, path))
    }

    pub(super) fn write(&mut self, mut from: impl Read) -> anyhow::Result<()> {
        match self {
            Self::Standard => io::copy(&mut from, &mut io::stdout()).map(drop).context("cannot write to standard output"),
            Self::File(file, path) => {
                io::copy(&mut from, file).map(drop).with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }

    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Standard => io::stdout().flush().context("cannot write to standard output"),
            Self::File(file, path) => file.persist(path).map(drop).with_context(|| format!("cannot write {}", path.display())),
        }
    }
}
