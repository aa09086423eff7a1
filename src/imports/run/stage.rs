//! The rows of a sheet are copied into `import_rows`, and looked at before any of them becomes a record.

use std::borrow::Cow;

use sqlx::{Connection as _, PgConnection};

use super::staged;
use crate::app::App;
use crate::error::{Error, Result};
use crate::imports::plan::not_mapped;
use crate::imports::read::header::Header;
use crate::imports::read::survey::{Given, Survey};
use crate::imports::read::value::Forms;
use crate::imports::store::Import;
use crate::sheets::{self, Source};
use crate::storage;
use crate::values::ids::{FileId, ImportId};

/// Rows that one chunk copies: seconds of work.
const ROWS: u64 = 100_000;

/// Rows that one chunk looks at, and how many of them are in memory.
const LOOKED_AT: usize = 50_000;
const LOOKED_AT_ONCE: i64 = 2_000;

/// Bytes that are sent to Postgres at once.
const BUFFER: usize = 256 * 1024;

/// Why the file cannot be imported, for its owner.
pub(super) enum Staging {
    /// There is more behind the row with this number.
    After(u64),
    Complete,
    Refused(sheets::Error),
}

/// Copies rows behind the one with the number `after`.
pub(super) async fn stage(app: &App, connection: &mut PgConnection, import: &Import, after: u64) -> Result<Staging> {
    let file = import.file_id.ok_or(Error::NotFound("file"))?;
    let file = storage::copy_to_temporary(&app.db.jobs, FileId(file)).await?;
    let source = Source::new(file, &import.file_name, import.options.text()).map_err(Error::internal)?;
    let mut savepoint = connection.begin().await?;
    match copy(app, &mut savepoint, import, &source, after).await {
        Ok(staging) => {
            savepoint.commit().await?;
            Ok(staging)
        }
        Err(Failure::Sheet(error)) => {
            savepoint.rollback().await?;
            Ok(Staging::Refused(error))
        }
        Err(Failure::Server(error)) => Err(error),
    }
}

enum Failure {
    Sheet(sheets::Error),
    Server(Error),
}

impl From<sheets::Error> for Failure {
    fn from(error: sheets::Error) -> Self {
        match error {
            sheets::Error::Internal(cause) => Self::Server(Error::Internal(cause)),
            error => Self::Sheet(error),
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Server(error.into())
    }
}

async fn copy(
    app: &App,
    connection: &mut PgConnection,
    import: &Import,
    source: &Source,
    after: u64,
) -> Result<Staging, Failure> {
    let first = after.max(import.header_row.unsigned_abs());
    let limits = &app.config.imports.sheets;
    let mut rows = sheets::rows(source, import.sheet.as_deref().unwrap_or_default(), limits).await?;
    let mut copy = connection.copy_in_raw("copy import_rows (import_id, number, cells, broken) from stdin").await?;
    let (mut buffer, mut count, mut last) = (Vec::new(), 0, first);
    let mut failure = None;
    loop {
        let row = match rows.next().await {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        let number = row.as_ref().map_or_else(|broken| broken.number, |row| row.number);
        let is_left_out = row.as_ref().is_ok_and(|row| row.is_hidden && import.options.skips_hidden_rows);
        if number <= first || is_left_out {
            continue;
        }
        write(&mut buffer, import.id, number, &row).map_err(|error| Failure::Server(Error::internal(error)))?;
        (count, last) = (count + 1, number);
        if buffer.len() > BUFFER {
            copy.send(std::mem::take(&mut buffer)).await?;
        }
        if count >= ROWS {
            break;
        }
    }
    if let Some(error) = failure {
        copy.abort("the sheet cannot be read").await?;
        return Err(error.into());
    }
    copy.send(buffer).await?;
    copy.finish().await?;
    Ok(if count >= ROWS { Staging::After(last) } else { Staging::Complete })
}

/// Writes a row in the text form of COPY. JSON has no line breaks and tabs, but backslashes.
fn write(
    buffer: &mut Vec<u8>,
    import: ImportId,
    number: u64,
    row: &Result<sheets::Row, sheets::BrokenRow>,
) -> serde_json::Result<()> {
    let (cells, broken) = match row {
        Ok(row) => (serde_json::to_string(&row.cells)?, Cow::Borrowed("\\N")),
        Err(broken) => ("[]".to_owned(), escaped(&serde_json::to_string(broken)?).into_owned().into()),
    };
    buffer.extend_from_slice(format!("{import}\t{number}\t{}\t{broken}\n", escaped(&cells)).as_bytes());
    Ok(())
}

fn escaped(json: &str) -> Cow<'_, str> {
    if json.contains('\\') { json.replace('\\', "\\\\").into() } else { json.into() }
}

/// What was found of the columns so far.
pub(super) enum Look {
    After(i64),
    Complete(Forms),
    /// A user has to say how a column is read.
    Ambiguous(String),
}

/// Looks at staged rows behind the one with the number `after`, and decides when it has seen all.
pub(super) async fn look(connection: &mut PgConnection, import: &Import, mut after: i64, survey: &mut Survey) -> Result<Look> {
    let columns = import.columns.as_ref().ok_or_else(not_mapped)?;
    let header = Header::of(import.target, columns);
    let given = Given { days: import.options.days, decimal: import.options.decimal };
    let mut seen = 0;
    while seen < LOOKED_AT {
        let rows = staged::next(connection, import.id, after, LOOKED_AT_ONCE).await?;
        let Some(last) = rows.last() else {
            return Ok(survey.decide(&header, given).map_or_else(Look::Ambiguous, Look::Complete));
        };
        after = last.number;
        seen += rows.len();
        for row in &rows {
            survey.count(&header, row.number.unsigned_abs(), &row.cells);
        }
    }
    Ok(Look::After(after))
}
