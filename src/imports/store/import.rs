//! An import as it is stored.

use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;
use encoding_rs::Encoding;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::api::Authority;
use crate::error::Violations;
use crate::imports::fields::Target;
use crate::imports::read::value::{DayOrder, Decimal, Forms};
use crate::sheets::TextOptions;
use crate::validate::Words;
use crate::values::ids::ImportId;
use crate::values::money::Currency;
use crate::words;

/// How long an import can be undone, and its file and rows are kept.
pub const KEPT: TimeDelta = TimeDelta::days(30);

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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Separator of cells of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Order of day and month in days such as 03/04/2025.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<DayOrder>,
    /// Decimal separator of amounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Decimal>,
    /// Currency of amounts without one (ISO 4217).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Region of phone numbers without a country code (ISO 3166-1 alpha-2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Leave out rows that the sheet hides.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skips_hidden_rows: bool,
}

impl Options {
    /// Says what of them cannot be used.
    pub fn check(&self, violations: &mut Violations) {
        let Self { encoding, delimiter, currency, region, .. } = self;
        let mut refuse = |name: &str, message: &str| violations.add(format!("/options/{name}"), "not_acceptable", message);
        if encoding.as_ref().is_some_and(|label| Encoding::for_label(label.as_bytes()).is_none()) {
            refuse("encoding", "takes the name of an encoding such as windows-1252");
        }
        if delimiter.is_some_and(|sign| !sign.is_ascii() || "\"\r\n".contains(sign)) {
            refuse("delimiter", "takes one sign such as ; or a tab");
        }
        let is_currency = |code: &String| code.parse::<Currency>().is_ok_and(Currency::is_in_use);
        if !currency.as_ref().is_none_or(is_currency) {
            refuse("currency", "takes a currency code of ISO 4217 such as EUR");
        }
        let is_region = |code: &String| code.parse::<phonenumber::country::Id>().is_ok();
        if !region.as_ref().is_none_or(is_region) {
            refuse("region", "takes a country code of ISO 3166-1 such as US");
        }
    }

    /// Adds what others say and these do not.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            encoding: self.encoding.or(others.encoding),
            delimiter: self.delimiter.or(others.delimiter),
            days: self.days.or(others.days),
            decimal: self.decimal.or(others.decimal),
            currency: self.currency.or(others.currency),
            region: self.region.or(others.region),
            skips_hidden_rows: self.skips_hidden_rows || others.skips_hidden_rows,
        }
    }

    /// How a text is read.
    #[must_use]
    pub fn text(&self) -> TextOptions {
        let encoding = self.encoding.as_deref().and_then(|name| Encoding::for_label(name.as_bytes()));
        TextOptions { encoding, delimiter: self.delimiter.and_then(|sign| u8::try_from(sign).ok()) }
    }
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
    /// Rows of the sheet below its headings; none while that is not known.
    pub rows: Option<i64>,
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
            rows: None,
            job_id: None,
            approved_by: None,
            committed_at: None,
            created_by: None,
            created_at: DateTime::default(),
            updated_at: DateTime::default(),
        }
    }

    /// The file needs one field of each set.
    #[must_use]
    pub fn needed(&self) -> Vec<Vec<&'static str>> {
        let required = self.target.required();
        let is_key = |names: &&[&str]| names.contains(&self.target.key()) || names.contains(&"accountNumber");
        let needed = required.iter().copied().filter(|names| match self.mode {
            Mode::Update => is_key(names),
            // Another key stands in for the first.
            Mode::Insert | Mode::Upsert => self.key == self.target.key() || !names.contains(&self.target.key()),
        });
        let keys = self.target.keys().iter().copied().filter(|key| *key == self.key && self.key != self.target.key());
        needed.map(<[_]>::to_vec).chain(keys.map(|key| vec![key])).collect()
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
