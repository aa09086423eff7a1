//! An import as it is stored.

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::api::Authority;
use crate::imports::fields::Target;
use crate::imports::read::value::{DayOrder, Decimal, Forms};
use crate::validate::Words;
use crate::values::ids::ImportId;
use crate::words;

words! {
    /// How far an import has come.
    pub enum State, STATES {
        Uploaded = "uploaded",
        Mapped = "mapped",
        Validating = "validating",
        Validated = "validated",
        Committing = "committing",
        Committed = "committed",
        Partial = "partial",
        Failed = "failed",
        Cancelled = "cancelled",
        Undoing = "undoing",
        Undone = "undone",
    }
    aliases {}
}

/// What a row may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, JsonSchema, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ImportMode")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Mode {
    /// Create a record; rows whose record exists are skipped.
    #[default]
    Insert,
    /// Change a record; rows without one are errors.
    Update,
    /// Change the record, or create it if there is none.
    Upsert,
}

/// What a blank cell means for a record that exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, JsonSchema, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ImportBlank")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Blank {
    /// The value stays.
    #[default]
    Keep,
    /// The value is cleared, if the field can be.
    Clear,
}

words! {
    /// What a validation found that a row does, or what its commit has done.
    pub enum Action, ACTIONS {
        Create = "create",
        Update = "update",
        Unchanged = "unchanged",
        Skipped = "skipped",
        Error = "error",
    }
    aliases {}
}

/// How a file is read; what is absent is found out, or is the deployment's default.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "ImportOptions")]
pub struct Options {
    /// Encoding of a text without a byte order mark, such as windows-1252.
    pub encoding: Option<String>,
    /// Separator of cells of a text.
    pub delimiter: Option<char>,
    /// Order of day and month in days such as 03/04/2025.
    pub days: Option<DayOrder>,
    /// Decimal separator of amounts.
    pub decimal: Option<Decimal>,
    /// Currency of amounts without one (ISO 4217).
    pub currency: Option<String>,
    /// Region of phone numbers without a country code (ISO 3166-1 alpha-2).
    pub region: Option<String>,
    /// Leave out rows that the sheet hides.
    pub skips_hidden_rows: bool,
}

/// A column of the sheet, in its place.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImportColumn")]
pub struct Column {
    pub heading: String,
    /// The field as the API calls it; none if the column is left out.
    pub field: Option<String>,
}

/// Rows by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ImportCounts")]
pub struct Counts {
    /// Rows that are not blank, without the header.
    pub rows: u64,
    pub created: u64,
    pub updated: u64,
    /// Their records were as the file says already.
    pub unchanged: u64,
    /// Their records exist, and the mode is `insert`.
    pub skipped: u64,
    pub failed: u64,
    pub warnings: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.warnings += other.warnings;
    }
}

/// Rows by what an undo did with their records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ImportUndone")]
pub struct Undone {
    /// Created ones are deleted, changed ones are as before.
    pub reversed: u64,
    /// They were changed since, or cannot be removed.
    pub kept: u64,
    pub errored: u64,
}

/// An import: what was asked, and how far it has come.
#[derive(Clone, Debug)]
pub struct Import {
    pub id: ImportId,
    /// Counts the changes of the row.
    pub version: i64,
    pub target: Target,
    pub mode: Mode,
    /// The field that finds the record of a row.
    pub key: String,
    pub blank: Blank,
    pub state: State,
    /// How far its user may move balances.
    pub authority: Authority,
    pub file_id: Option<Uuid>,
    pub file_name: String,
    pub sha256: Vec<u8>,
    /// None for the only sheet of a text.
    pub sheet: Option<String>,
    /// As the spreadsheet counts.
    pub header_row: i64,
    pub options: Json<Options>,
    /// None until it is mapped.
    pub columns: Option<Json<Vec<Column>>>,
    /// Whether the rows of the sheet are staged.
    pub is_staged: bool,
    /// How each column of days and amounts is read; none until all rows were looked at.
    pub forms: Option<Json<Forms>>,
    /// Why it could not be validated.
    pub problem: Option<String>,
    pub validated: Json<Counts>,
    pub committed: Json<Counts>,
    pub undone: Json<Undone>,
    /// The job that works on it, or did last.
    pub job_id: Option<Uuid>,
    pub approved_by: Option<Uuid>,
    pub committed_at: Option<DateTime<Utc>>,
    /// None for an operator at the command line.
    pub created_by: Option<Uuid>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Import {
    /// An import of a stored file that nothing is said about yet.
    #[must_use]
    pub fn new(target: Target, file_name: String, sha256: [u8; 32]) -> Self {
        Self {
            id: ImportId::new(),
            version: 1,
            target,
            mode: Mode::default(),
            key: target.key().to_owned(),
            blank: Blank::default(),
            state: State::Uploaded,
            authority: Authority::Ordinary,
            file_id: None,
            file_name,
            sha256: sha256.to_vec(),
            sheet: None,
            header_row: 1,
            options: Json::default(),
            columns: None,
            is_staged: false,
            forms: None,
            problem: None,
            validated: Json::default(),
            committed: Json::default(),
            undone: Json::default(),
            job_id: None,
            approved_by: None,
            committed_at: None,
            created_by: None,
            created_at: DateTime::default(),
            updated_at: DateTime::default(),
        }
    }

    /// Sets the columns. What was found of the rows is void.
    pub fn map(&mut self, columns: Vec<Column>) {
        self.columns = Some(Json(columns));
        self.forms = None;
        self.problem = None;
        self.state = State::Mapped;
    }
}

impl State {
    /// Finds a state by its word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        named(&STATES, word)
    }
}

impl Action {
    /// Finds an action by its word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        named(&ACTIONS, word)
    }
}

fn named<T: DeserializeOwned>(words: &Words, word: &str) -> Option<T> {
    words.known.contains(&word).then(|| serde_json::from_value(word.into()).ok()).flatten()
}
