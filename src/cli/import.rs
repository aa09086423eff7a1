//! `collections import`: a file becomes customers, accounts or payments.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use encoding_rs::Encoding;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::config::{Database, Imports, Writes};
use crate::db::Pools;
use crate::imports::{DayOrder, Decimal, Event, Import as File, Mapping, Summary, Target, Unusable};
use crate::values::clock::Clock;
use crate::values::money::Currency;

/// Imports a CSV file; running it again imports only what is not there yet.
///
/// Customers are known again by externalId, accounts by accountNumber, payments by accountNumber and reference. A payment without
/// a status has come in, one without a method was made by other means.
#[derive(Args)]
pub(super) struct Import {
    /// The CSV file; its first row holds the headings.
    file: PathBuf,
    /// What its rows become.
    #[arg(long, value_enum)]
    target: Target,
    /// A heading and the field that it means, or nothing to leave the column out; may be repeated.
    #[arg(long = "map", value_name = "THEIRS=OURS")]
    mappings: Vec<Mapping>,
    /// Do everything, tell what would happen, and undo it.
    #[arg(long)]
    dry_run: bool,
    /// What the file is written in, such as windows-1252; UTF-8 if absent.
    #[arg(long, value_parser = encoding)]
    encoding: Option<&'static Encoding>,
    /// What separates cells; the most frequent of comma, semicolon, tab and bar if absent.
    #[arg(long, value_parser = delimiter)]
    delimiter: Option<u8>,
    /// How days such as 03/04/2025 are read.
    #[arg(long = "date-format", value_enum)]
    days: Option<DayOrder>,
    /// What separates the decimals of amounts.
    #[arg(long, value_enum)]
    decimal: Option<Decimal>,
    /// Tell everything as JSON, one object to a line.
    #[arg(long)]
    json: bool,
    /// Currency of amounts that name none (ISO 4217).
    #[arg(long = "default-currency", env = "DEFAULT_CURRENCY", default_value = "USD")]
    currency: Currency,
    /// Region by which phone numbers without a country code are read (ISO 3166-1 alpha-2).
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
            now: Clock::default().now(),
        };
        let started = Instant::now();
        let bar =
            ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} rows, {eta} left")?);
        let outcome = match self.json {
            true => file.run(&pools.server, tell_programs()).await,
            false => file.run(&pools.server, tell_people(bar.clone())).await,
        };
        bar.finish_and_clear();
        let summary = match outcome {
            Err(error) if error.is::<Unusable>() => {
                eprintln!("error: {error:#}");
                return Ok(ExitCode::from(2));
            }
            outcome => outcome?,
        };
        conclude(&summary, started.elapsed(), self.json, self.dry_run)?;
        Ok(if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Lines of JSON; progress each second.
fn tell_programs() -> impl FnMut(Event) + Send {
    let mut told = Instant::now();
    move |event| {
        let line = match event {
            Event::Header(header) => json!({ "header": header.lines().map(str::trim).collect::<Vec<_>>() }),
            Event::Issue(issue) => json!({ "issue": issue }),
            Event::Progress(summary, total) if told.elapsed() >= Duration::from_secs(1) => {
                told = Instant::now();
                json!({ "progress": summary, "total": total })
            }
            Event::Progress(..) => return,
        };
        println!("{line}");
    }
}

/// A bar in a terminal; what is wrong goes above it, and to standard error.
fn tell_people(bar: ProgressBar) -> impl FnMut(Event) + Send {
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

fn conclude(summary: &Summary, took: Duration, json: bool, dry_run: bool) -> anyhow::Result<()> {
    let seconds = took.as_secs_f64();
    let rate = (summary.rows as f64 / seconds) as u64;
    if json {
        println!("{}", json!({ "summary": summary, "dryRun": dry_run, "seconds": seconds, "rowsPerSecond": rate }));
        return Ok(());
    }
    let Summary { rows, created, existing, failed, warnings } = summary;
    let undone = if dry_run { " (dry run: nothing is changed)" } else { "" };
    writeln!(
        std::io::stdout(),
        "{} rows in {seconds:.1} s ({} rows/s): {} created, {} there already, {} failed, {} warnings{undone}",
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
    Encoding::for_label(name.as_bytes()).ok_or_else(|| "is not an encoding; try windows-1252 or utf-16le".to_owned())
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [delimiter] if delimiter.is_ascii_punctuation() || *delimiter == b'\t' => Ok(*delimiter),
        _ => Err("takes one sign such as ; or the word tab".to_owned()),
    }
}
