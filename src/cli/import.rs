//! `collections import`: imports a file, or takes an import back.

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use encoding_rs::Encoding;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::time::sleep;

use super::connect;
use super::export::Output;
use crate::app::App;
use crate::config::Config;
use crate::imports::intake::{self, Unusable, Wish};
use crate::imports::mapping::Choice;
use crate::imports::run::{self, Commit, Task, Undo, Validate};
use crate::imports::store::{self, Blank, Counts, Mode, Options};
use crate::imports::workbooks::errors;
use crate::imports::{DayOrder, Decimal, Issue, Target};
use crate::jobs::{self, Kinds, State, Terms};
use crate::values::ids::{ImportId, JobId};

/// How often progress is shown.
const LOOK: Duration = Duration::from_millis(500);

/// Rows whose issues are read at once.
const ISSUES: i64 = 500;

/// Imports a workbook (xlsx, xlsm, xls, ods) or a text (csv, tsv). Running it again imports only missing records.
///
/// Customers are identified by externalId, accounts by accountNumber, payments by accountNumber and reference, activities by
/// accountNumber, type, moment and note. A payment without a status counts as success, one without a method as other.
#[derive(Args)]
pub(super) struct Import {
    /// File with a header.
    #[arg(required_unless_present = "undo")]
    file: Option<PathBuf>,
    /// Kind of records.
    #[arg(long, value_enum, required_unless_present = "undo")]
    target: Option<Target>,
    /// Whether rows create records, change them, or both; by default insert, for a workbook of failed rows as they were imported.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Field that finds the record of a row: for customers email or phone, too.
    #[arg(long)]
    key: Option<String>,
    /// What a blank cell does to a record that exists; by default keep.
    #[arg(long, value_enum)]
    blank: Option<Blank>,
    /// Sheet of a workbook; by default the first one with rows.
    #[arg(long)]
    sheet: Option<String>,
    /// Row of the header, as the spreadsheet counts; by default the first row that looks like headings.
    #[arg(long)]
    header_row: Option<u64>,
    /// Leave out rows that the sheet hides.
    #[arg(long)]
    skip_hidden_rows: bool,
    /// Field for a heading; an empty field skips the column. May be repeated.
    #[arg(long = "map", value_name = "THEIRS=OURS", value_parser = choice)]
    choices: Vec<Choice>,
    /// Report what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Workbook for the rows that failed, to mend and import again; written if there are any.
    #[arg(long, value_name = "FILE.xlsx", conflicts_with = "undo")]
    errors: Option<PathBuf>,
    /// Encoding of a text, such as windows-1252; UTF-8 if absent.
    #[arg(long, value_parser = encoding)]
    encoding: Option<&'static Encoding>,
    /// Cell separator of a text; if absent the most frequent of comma, semicolon, tab and bar.
    #[arg(long, value_parser = delimiter)]
    delimiter: Option<char>,
    /// Order of day and month in dates such as 03/04/2025.
    #[arg(long = "date-format", value_enum)]
    days: Option<DayOrder>,
    /// Decimal separator of amounts.
    #[arg(long, value_enum)]
    decimal: Option<Decimal>,
    /// Take back what this import did, within 30 days: created records are removed, changed ones are as before.
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    undo: Option<ImportId>,
    /// Print JSON, one object per line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Config,
}

impl Import {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let app = connect::open(self.config.clone()).await?;
        if let Some(id) = self.undo {
            return undo(&app, id, self.json).await;
        }
        match self.import(&app).await {
            Err(error) if error.is::<Unusable>() => {
                eprintln!("error: {error:#}");
                Ok(ExitCode::from(2))
            }
            outcome => outcome,
        }
    }

    async fn import(self, app: &App) -> anyhow::Result<ExitCode> {
        let (json, task) = (self.json, if self.dry_run { Task::Validate } else { Task::Commit });
        let path = self.file.clone().context("names no file")?;
        let name = path.file_name().context("is no file")?.to_string_lossy().into_owned();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => {
                eprintln!("error: the file cannot be opened: {error}");
                return Ok(ExitCode::from(2));
            }
        };
        let errors_path = self.errors.clone();
        let output = errors_path.as_deref().map(|path| Output::open(Some(path))).transpose()?;
        let (import, header) = intake::open(app, file, &name, self.wish()?).await?;
        print_header(&header, json);
        if let Some(earlier) = store::same_file(&app.db.server, &import).await? {
            warn_of_same_file(earlier, json);
        }
        let started = Instant::now();
        let state = work(app, import.id, task, json).await?;
        let import = store::find(&app.db.server, import.id).await?.context("the import is gone")?;
        if let Some(problem) = import.problem {
            eprintln!("error: the file cannot be imported: {problem}");
            return Ok(ExitCode::from(2));
        }
        print_issues(app, import.id, json).await?;
        let counts = if task == Task::Validate { *import.validated } else { *import.committed };
        print_summary(import.id, &counts, started.elapsed(), json, task)?;
        if let Some(mut output) = output
            && counts.failed > 0
        {
            output.write(errors::of(app, import).await?)?;
            output.finish()?;
        }
        if state != State::Succeeded && counts.failed == 0 {
            bail!("the import has stopped: {}; see collections jobs list", state.name());
        }
        Ok(if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn wish(self) -> anyhow::Result<Wish> {
        Ok(Wish {
            target: self.target.context("names no target")?,
            mode: self.mode,
            key: self.key,
            blank: self.blank,
            sheet: self.sheet,
            header_row: self.header_row,
            options: Options {
                encoding: self.encoding.map(|encoding| encoding.name().to_owned()),
                delimiter: self.delimiter,
                days: self.days,
                decimal: self.decimal,
                currency: None,
                region: None,
                skips_hidden_rows: self.skip_hidden_rows,
            },
            choices: self.choices,
        })
    }
}

/// Enqueues the job of a task and works it here; a worker goes on if this process is killed.
async fn work(app: &App, id: ImportId, task: Task, json: bool) -> anyhow::Result<State> {
    let mut transaction = app.db.server.begin().await?;
    let mut import = store::lock(&mut transaction, id).await?;
    let job = run::start(app, &mut transaction, &mut import, task, Terms::default()).await?;
    transaction.commit().await?;
    let kinds = Kinds::default().with::<Validate>().with::<Commit>().with::<Undo>();
    tokio::select! {
        ended = jobs::work(app, kinds, job) => Ok(ended?),
        failed = show_progress(app, job, json) => Err(failed),
    }
}

/// Shows how far a job is, until it is dropped.
async fn show_progress(app: &App, job: JobId, json: bool) -> anyhow::Error {
    let template = "{bar:40} {human_pos}/{human_len} rows, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = Cleared(ProgressBar::new(0).with_style(style));
    loop {
        sleep(LOOK).await;
        // One that cannot be read now is read next time.
        let Ok(Some(job)) = jobs::store::find(&app.db.watch, job).await else { continue };
        if json {
            println!("{}", json!({ "progress": job.processed, "failed": job.failed, "total": job.total }));
        } else {
            bar.0.set_length(job.total.unwrap_or_default().unsigned_abs());
            bar.0.set_position(job.processed.unsigned_abs());
        }
    }
}

/// A bar that leaves nothing on the screen.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn undo(app: &App, id: ImportId, json: bool) -> anyhow::Result<ExitCode> {
    work(app, id, Task::Undo, json).await?;
    let import = store::find(&app.db.server, id).await?.context("the import is gone")?;
    let store::Undone { reversed, kept, errored } = *import.undone;
    if json {
        println!("{}", json!({ "undone": *import.undone, "importId": id }));
    } else {
        println!("{reversed} reversed, {kept} kept, {errored} failed");
    }
    Ok(if errored == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_header(header: &str, json: bool) {
    if json {
        println!("{}", json!({ "header": header.lines().map(str::trim).collect::<Vec<_>>() }));
    } else {
        eprintln!("{header}");
    }
}

fn warn_of_same_file(earlier: ImportId, json: bool) {
    if json {
        println!("{}", json!({ "sameFileAs": earlier }));
    } else {
        eprintln!("warning: this file was imported before, by the import {earlier}");
    }
}

async fn print_issues(app: &App, id: ImportId, json: bool) -> anyhow::Result<()> {
    let print = |issue: Issue| {
        if json {
            println!("{}", json!({ "issue": issue }));
        } else {
            eprintln!("{issue}");
        }
    };
    let mut after = 0;
    loop {
        let (issues, last) = store::rows::issues(&app.db.server, id, after, ISSUES).await?;
        issues.into_iter().for_each(print);
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

fn print_summary(id: ImportId, counts: &Counts, took: Duration, json: bool, task: Task) -> anyhow::Result<()> {
    let seconds = took.as_secs_f64();
    let rate = (counts.rows as f64 / seconds) as u64;
    let is_dry = task == Task::Validate;
    if json {
        let summary = json!({
            "summary": counts, "dryRun": is_dry, "seconds": seconds, "rowsPerSecond": rate, "importId": id,
        });
        println!("{summary}");
        return Ok(());
    }
    let Counts { rows, created, updated, unchanged, skipped, failed, warnings } = counts;
    let undone = if is_dry { " (dry run: nothing changed)" } else { "" };
    writeln!(
        std::io::stdout(),
        "{} rows in {seconds:.1} s ({} rows/s): {} created, {} updated, {} existing, {} failed, {} warnings{undone}",
        HumanCount(*rows),
        HumanCount(rate),
        HumanCount(*created),
        HumanCount(*updated),
        HumanCount(*unchanged + *skipped),
        HumanCount(*failed),
        HumanCount(*warnings),
    )?;
    if !is_dry && created + updated > 0 && std::io::stderr().is_terminal() {
        eprintln!("collections import --undo {id} takes it back, for 30 days");
    }
    Ok(())
}

/// Reads `theirs=ours`, or `theirs=` to leave the column out. A heading may have the sign too.
fn choice(text: &str) -> Result<Choice, String> {
    let (theirs, ours) = text.rsplit_once('=').ok_or("takes THEIRS=OURS, such as \"Cust No=externalId\"")?;
    Ok(Choice { column: None, heading: Some(theirs.trim().to_owned()), field: Some(ours.trim().to_owned()) })
}

fn encoding(name: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(name.as_bytes()).ok_or_else(|| "is not a known encoding; try windows-1252 or utf-16le".to_owned())
}

fn delimiter(text: &str) -> Result<char, String> {
    match text {
        "tab" | "\\t" => Ok('\t'),
        text => match *text.as_bytes() {
            [delimiter] if delimiter.is_ascii_punctuation() || delimiter == b'\t' => Ok(char::from(delimiter)),
            _ => Err("accepts one character such as ; or the word tab".to_owned()),
        },
    }
}
