//! The first pass over a file: whether it can be read, what its columns hold and in which form. A file that fails here is not
//! imported.

use std::collections::HashMap;
use std::fs::File;

use anyhow::{Context, anyhow, bail, ensure};

use super::header::Header;
use super::value::{DayOrder, Decimal, Votes, amount_vote, day_vote};
use crate::imports::Import;
use crate::imports::fields::Kind;
use crate::sheets::text::{self, MAX_ROW_BYTES, Rows, Text};
use crate::sheets::{Cell, Row};

/// What the first pass finds.
pub(in crate::imports) struct Survey {
    pub(in crate::imports) header: Header,
    /// How each column of days is read.
    pub(in crate::imports) days: HashMap<usize, DayOrder>,
    /// How each column of amounts is read.
    pub(in crate::imports) decimals: HashMap<usize, Decimal>,
    /// Rows after the header, broken ones too.
    pub(in crate::imports) rows: u64,
}

/// Opens the file. Returns its header and the rows after it.
pub(in crate::imports) fn open(import: &Import) -> anyhow::Result<(Row, Rows<Text>)> {
    let file = File::open(&import.path).context("the file cannot be opened")?;
    let size = file.metadata()?.len();
    let limit = import.limits.sheets.max_file_bytes;
    ensure!(size <= limit, "the file has {size} bytes, more than the limit of {limit} (--import-max-file-bytes)");
    let text = text::open(file, import.encoding)?;
    let mut rows = Rows::new(text, import.delimiter, MAX_ROW_BYTES)?;
    let header = rows.next_row()?.ok_or_else(|| anyhow!("the file is empty"))?;
    match header {
        Ok(header) => Ok((header, rows)),
        Err(broken) if broken.code == "not_utf8" => Err(not_utf8(broken.line)),
        Err(broken) => bail!("the header in line {} cannot be read: {}", broken.line, broken.message),
    }
}

pub(in crate::imports) fn survey(import: &Import) -> anyhow::Result<Survey> {
    let (headings, mut rows) = open(import)?;
    let headings: Vec<String> = headings.cells.iter().map(Cell::to_string).collect();
    ensure!(
        !headings[0].starts_with("PK\u{3}\u{4}"),
        "the file is a workbook or an archive; save the sheet as CSV (UTF-8) and import that"
    );
    ensure!(
        !headings.iter().any(|heading| heading.contains('\0')),
        "the header holds NUL characters: the file is not text, or it is UTF-16 (pass --encoding utf-16le)"
    );
    let (columns, limit) = (headings.len(), import.limits.sheets.max_columns);
    ensure!(columns <= limit, "the file has {columns} columns, more than the limit of {limit}");
    let header = Header::read(import.target, &headings, &import.mappings).map_err(|wrong| anyhow!(wrong))?;
    let mut days: HashMap<usize, Votes<DayOrder>> = HashMap::new();
    let mut amounts: HashMap<usize, Votes<Decimal>> = HashMap::new();
    let mut count = 0;
    while let Some(row) = rows.next_row()? {
        count += 1;
        ensure!(
            count <= import.limits.sheets.max_rows,
            "the file has more than {} rows (--import-max-rows)",
            import.limits.sheets.max_rows
        );
        match row {
            Ok(row) => {
                for (at, (column, cell)) in header.columns.iter().zip(&row.cells).enumerate() {
                    let cell = cell.to_string();
                    let cell = cell.trim();
                    match column.field.map(|field| field.kind) {
                        Some(Kind::Day | Kind::ForgivenDay | Kind::Moment) => {
                            days.entry(at).or_default().count(row.number, cell, day_vote(cell));
                        }
                        Some(Kind::Amount) => amounts.entry(at).or_default().count(row.number, cell, amount_vote(cell)),
                        _ => {}
                    }
                }
            }
            Err(broken) if broken.code == "not_utf8" => return Err(not_utf8(broken.line)),
            Err(_) => {}
        }
    }
    let days = decide(&header, &days, import.days, DayOrder::Dmy, "--date-format dmy or --date-format mdy")?;
    let decimals = decide(&header, &amounts, import.decimal, Decimal::Dot, "--decimal dot or --decimal comma")?;
    Ok(Survey { header, days, decimals, rows: count })
}

/// Decides how each column is read: by the option, else by its values.
fn decide<T: Copy + PartialEq>(
    header: &Header,
    votes: &HashMap<usize, Votes<T>>,
    given: Option<T>,
    default: T,
    remedy: &str,
) -> anyhow::Result<HashMap<usize, T>> {
    let decide = |(at, votes): (&usize, &Votes<T>)| {
        let reading = match given {
            Some(given) => given,
            None => votes
                .decide(default)
                .map_err(|why| anyhow!("the column {:?} {why}; pass {remedy}", header.columns[*at].heading))?,
        };
        Ok((*at, reading))
    };
    votes.iter().map(decide).collect()
}

fn not_utf8(line: u64) -> anyhow::Error {
    anyhow!("line {line} is not UTF-8; if the file comes from a spreadsheet on Windows, pass --encoding windows-1252")
}
