//! The layout of a file: its format, its columns, and who reads it.

use super::cell::{Column, Columns};
use super::csv::{self, Reader};
use crate::error::{Error, Result, clipped};
use crate::search::Collection;
use crate::search::document::Projection;
use crate::values::zone::Zone;

/// The columns of payments that older readers know by their place.
const PAYMENTS: [(&str, &str); 7] = [
    ("id", "ID"),
    ("amount", "Amount"),
    ("method", "Method"),
    ("status", "Status"),
    ("receiver", "Receiver"),
    ("description", "Description"),
    ("createdAt", "Created At"),
];

/// Asks for every member of the records.
const ALL_COLUMNS: &str = "*";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::exports) enum Format {
    #[default]
    Csv,
    Xlsx,
    /// A record in each line, as JSON.
    Jsonl,
}

impl Format {
    pub(in crate::exports) const ALL: [Self; 3] = [Self::Csv, Self::Xlsx, Self::Jsonl];

    /// Also the ending of the file's name.
    pub(in crate::exports) fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Jsonl => "jsonl",
        }
    }

    pub(in crate::exports) fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Jsonl => "application/x-ndjson",
        }
    }

    /// Without its parameters.
    pub(in crate::exports) fn bare_media_type(self) -> &'static str {
        self.media_type().split(';').next().unwrap_or_default()
    }

    /// Reads a format; `excel` is an older name.
    pub(in crate::exports) fn read(text: &str) -> Result<Self> {
        let word = if text.eq_ignore_ascii_case("excel") { "xlsx" } else { text };
        let known = || Self::ALL.map(Self::name).join(", ");
        let find = Self::ALL.into_iter().find(|format| word.eq_ignore_ascii_case(format.name()));
        find.ok_or_else(|| Error::malformed("bad_parameter", format!("format: takes one of {}", known())))
    }
}

/// How records become a file.
#[derive(Clone, Debug)]
pub(in crate::exports) struct Layout {
    pub(in crate::exports) format: Format,
    pub(super) columns: Columns,
    reader: Reader,
    has_mark: bool,
    /// In which moments are written, if it is named.
    pub(super) zone: Option<Zone>,
}

/// Where the encoding is marked at the beginning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::exports) enum Mark {
    ForSpreadsheets,
    /// Readers of the older address take the mark for a part of the first heading.
    Never,
}

impl Layout {
    /// Reads which columns are asked for: names of members with commas between, `*` for all, none for those that are usual.
    pub(in crate::exports) fn new(
        collection: &'static Collection,
        format: Format,
        columns: Option<&str>,
        reader: Reader,
        zone: Option<Zone>,
    ) -> Result<Self> {
        let columns = match columns {
            None if format == Format::Csv && collection.name == "payments" => {
                PAYMENTS.map(|(name, heading)| Column::new(collection, name, heading)).to_vec()
            }
            None | Some(ALL_COLUMNS) => collection.members().map(|name| Column::new(collection, name, name)).collect(),
            Some(names) => named(collection, names)?,
        };
        Ok(Self { format, columns: Columns::new(columns), reader, has_mark: reader == Reader::Spreadsheet, zone })
    }

    pub(in crate::exports) fn marked(self, mark: Mark) -> Self {
        Self { has_mark: self.has_mark && mark == Mark::ForSpreadsheets, ..self }
    }

    /// Names of the members that the file shows.
    pub(in crate::exports) fn names(&self) -> Vec<&'static str> {
        self.columns.all.iter().map(|column| column.name).collect()
    }

    /// What a record has to have for the file, in which a client knows it by its id.
    pub(in crate::exports) fn projection(&self) -> Projection {
        let id = (self.format == Format::Jsonl).then_some("id");
        Projection::new(self.names().into_iter().chain(id))
    }

    /// The text before the first record.
    pub(in crate::exports) fn head(&self) -> String {
        let mut head = String::new();
        if self.format == Format::Csv {
            head.push_str(if self.has_mark { csv::BOM } else { "" });
            let headings = self.columns.all.iter().map(|column| super::cell::Cell::Text(column.heading.into()));
            csv::row(headings, Reader::Program, None, &mut head);
        }
        head
    }

    /// The text of some records: JSON as lists show them. A workbook is staged as lines of JSON.
    pub(in crate::exports) fn body(&self, records: &[Vec<u8>]) -> Result<Vec<u8>> {
        if self.format != Format::Csv {
            let mut lines = Vec::with_capacity(records.iter().map(|record| record.len() + 1).sum());
            for record in records {
                lines.extend_from_slice(record);
                lines.push(b'\n');
            }
            return Ok(lines);
        }
        let mut rows = String::new();
        for record in records {
            let cells = self.columns.cells(record).map_err(Error::internal)?;
            csv::row(cells.into_iter(), self.reader, self.zone, &mut rows);
        }
        Ok(rows.into_bytes())
    }
}

fn named(collection: &'static Collection, names: &str) -> Result<Vec<Column>> {
    let refused = |message: String| Error::malformed("bad_parameter", format!("columns: {message}"));
    let mut columns: Vec<Column> = Vec::new();
    for name in names.split(',').map(str::trim) {
        let known = collection.members().find(|known| *known == name);
        let known = known.ok_or_else(|| {
            let members = collection.members().collect::<Vec<_>>().join(", ");
            refused(format!("there is no {}; there are {members}", clipped(name)))
        })?;
        if columns.iter().any(|column| column.name == known) {
            return Err(refused(format!("{known} is there twice")));
        }
        columns.push(Column::new(collection, known, known));
    }
    Ok(columns)
}
