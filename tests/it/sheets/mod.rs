//! Files of imports: what is read from them, and which are refused and why.

mod hostile;
mod large;
mod parts;
mod text;
mod workbooks;

use std::fs::File;
use std::io::Write;

use clap::Parser;
use collections::sheets::{self, BrokenRow, Cell, Error, Limits, Row, Source, TextOptions};

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    limits: Limits,
}

/// The documented limits.
fn limits() -> Limits {
    Limits { program: env!("CARGO_BIN_EXE_collections").into(), ..Settings::parse_from(["it"]).limits }
}

fn file(bytes: impl AsRef<[u8]>) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes.as_ref()).unwrap();
    file
}

fn source(name: &str, bytes: impl AsRef<[u8]>) -> Source {
    Source::new(file(bytes), name, TextOptions::default()).unwrap()
}

/// All rows of a sheet.
async fn rows(source: &Source, sheet: &str, limits: &Limits) -> Result<Vec<Result<Row, BrokenRow>>, Error> {
    let mut rows = sheets::rows(source, sheet, limits).await?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().await? {
        found.push(row);
    }
    Ok(found)
}

/// A row in short: its number and cells.
fn show(row: &Result<Row, BrokenRow>) -> String {
    match row {
        Ok(row) => format!("{} {}", row.number, row.cells.iter().map(Cell::to_string).collect::<Vec<_>>().join("·")),
        Err(broken) => format!("{} {}", broken.number, broken.code),
    }
}
