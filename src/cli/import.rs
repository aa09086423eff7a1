//! `collections import`: imports customers, accounts or payments from a file.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use encoding_rs::Encoding;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::api::Authority;
use crate::config::{Database, Imports, Writes};
use crate::db::Pools;
use crate::imports::{DayOrder, Decimal, Event, Import as File, Mapping, Summary, Target, Unusable};
use crate::values::clock::Clock;
use crate::values::money::Currency;

/// Imports a CSV file. Running it again imports only missing records.
///
/// Customers are identified by externalId, accounts by accountNumber, payments by accountNumber and reference. A payment without a
/// status counts as success, one without a method as other.
#[derive(Args)]
pub(super) struct Import {
    /// CSV file whose first row is the header.
    file: PathBuf,
    /// Kind of records.
    #[arg(long, value_enum)]
    target: Target,
    /// Field for a heading; an empty field skips the column. May be repeated.
    #[arg(long = "map", value_name = "THEIRS=OURS")]
    mappings: Vec<Mapping>,
    /// Report what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Encoding, such as windows-1252; UTF-8 if absent.
    #[arg(long, value_parser = encoding)]
    encoding: Option<&'static Encoding>,
    /// Cell separator; if absent the most frequent of comma, semicolon, tab and bar.
    #[arg(long, value_parser = delimiter)]
    delimiter: Option<u8>,
    /// Order of day and month in dates such as 03/04/2025.
    #[arg(long = "date-format", value_enum)]
    days: Option<DayOrder>,
    /// Decimal separator of amounts.
    #[arg(long, value_enum)]
    decimal: Option<Decimal>,
    /// Print JSON, one object per line.
    #[arg(long)]
    json: bool,
    /// Currency of amounts without one (ISO 4217).
    #[arg(long = "default-currency", env = "DEFAULT_CURRENCY", default_value = "USD")]
    currency: Currency,
    /// Region of phone numbers without a country code (ISO 3166-1 alpha-2).
    #[arg(long = "default-region", env = "DEFAULT_REGION", default_value = "US")]
    region: String,
    #[command(flatten)]
    writes: Writes,
    #[command(flatten)]
    limits: Imports,
    #[command(flatten)]
    database: Database,
}

impl Import {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let pools = Pools::open(&self.database)?;
        let file = File {
            target: self.target,
            path: self.file,
            mappings: self.mappings,
            encoding: self.encoding,
            delimiter: self.delimiter,
            days: self.days,
            decimal: self.decimal,
            dry_run: self.dry_run,
            limits: self.limits,
            currency: self.currency,
            region: self.region,
            payment_max: self.writes.payment_max,
            authority: Authority::Full,
            now: Clock::default().now(),
        };
        let started = Instant::now();
        let bar =
            ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} rows, {eta} left")?);
        let outcome = if self.json {
            file.run(&pools.server, print_json()).await
        } else {
            file.run(&pools.server, print_text(bar.clone())).await
        };
        bar.finish_and_clear();
        let summary = match outcome {
            Err(error) if error.is::<Unusable>() => {
                eprintln!("error: {error:#}");
                return Ok(ExitCode::from(2));
            }
            outcome => outcome?,
        };
        print_summary(&summary, started.elapsed(), self.json, self.dry_run)?;
        Ok(if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Prints JSON lines, progress once per second.
fn print_json() -> impl FnMut(Event) + Send {
    let mut reported = Instant::now();
    move |event| {
        let line = match event {
            Event::Header(header) => json!({ "header": header.lines().map(str::trim).collect::<Vec<_>>() }),
            Event::Issue(issue) => json!({ "issue": issue }),
            Event::Progress(summary, total) if reported.elapsed() >= Duration::from_secs(1) => {
                reported = Instant::now();
                json!({ "progress": summary, "total": total })
            }
            Event::Progress(..) => return,
        };
        println!("{line}");
    }
}

/// Shows a progress bar in a terminal, with issues above it on standard error.
fn print_text(bar: ProgressBar) -> impl FnMut(Event) + Send {
    let terminal = std::io::stderr().is_terminal();
    move |event| match event {
        Event::Header(header) => bar.suspend(|| eprintln!("{header}")),
        Event::Issue(issue) if terminal => bar.suspend(|| eprintln!("{issue}")),
        Event::Issue(issue) => eprintln!("{issue}"),
        Event::Progress(summary, total) => {
            bar.set_length(total);
            bar.set_position(summary.rows);
        }
    }
}

fn print_summary(summary: &Summary, took: Duration, json: bool, dry_run: bool) -> anyhow::Result<()> {
    let seconds = took.as_secs_f64();
    let rate = (summary.rows as f64 / seconds) as u64;
    if json {
        println!("{}", json!({ "summary": summary, "dryRun": dry_run, "seconds": seconds, "rowsPerSecond": rate }));
        return Ok(());
    }
    let Summary { rows, created, existing, failed, warnings } = summary;
    let undone = if dry_run { " (dry run: nothing changed)" } else { "" };
    writeln!(
        std::io::stdout(),
        "{} rows in {seconds:.1} s ({} rows/s): {} created, {} existing, {} failed, {} warnings{undone}",
        HumanCount(*rows),
        HumanCount(rate),
        HumanCount(*created),
        HumanCount(*existing),
        HumanCount(*failed),
        HumanCount(*warnings),
    )?;
    Ok(())
}

fn encoding(name: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(name.as_bytes()).ok_or_else(|| "is not a known encoding; try windows-1252 or utf-16le".to_owned())
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [delimiter] if delimiter.is_ascii_punctuation() || *delimiter == b'\t' => Ok(*delimiter),
        _ => Err("accepts one character such as ; or the word tab".to_owned()),
    }
}
