//! What a file holds, and how it is proposed to import it.

use std::fs::File;

use super::requests::Said;
use super::shown::{Sheet, Surveyed, Warning};
use crate::api::{Reply, Request, json};
use crate::error::{Error, Result, Violations};
use crate::imports::mapping::{Headings, Line, Mapping};
use crate::imports::store::{self, Import, State, mappings};
use crate::imports::workbooks::settings::{Settings, Unusable};
use crate::imports::workbooks::template::{self, NOTES_SHEET};
use crate::sheets::{self, Book, Source};
use crate::storage;
use crate::values::ids::FileId;

/// What a file holds, and what its columns are taken for.
pub(super) struct Proposal {
    sheets: Vec<Sheet>,
    pub(super) mapping: Mapping,
    pub(super) warnings: Vec<Warning>,
}

impl Proposal {
    /// Answers with an import and what its file holds.
    pub(super) fn answer(self, import: Import) -> Result<Reply> {
        let Self { sheets, mapping, warnings } = self;
        let version = import.version;
        Ok(json(&Surveyed { import: import.into(), sheets, mapping, warnings })?.with_version(version))
    }
}

/// Opens the stored file of an import.
pub(super) async fn stored_file(import: &Import, request: &Request) -> Result<File> {
    let gone = || Error::conflict("file_gone", "the file of this import was removed; upload it again");
    storage::copy_to_temporary(&request.app.db.read, FileId(import.file_id.ok_or_else(gone)?)).await
}

/// Applies what is said of a file and maps its columns. The import is mapped if nothing is missing.
///
/// # Errors
/// What is said does not fit the file.
pub(super) async fn propose(import: &mut Import, book: Book, said: &Said, request: &Request) -> Result<Proposal> {
    apply(import, said);
    let sheet = chosen(import, &book)?;
    let headings = Headings::find(import.target, book.kind, sheet, said.header_row).ok_or_else(no_headings)?;
    import.header_row = i64::try_from(headings.row).map_err(Error::internal)?;
    let above = sheet.sample.iter().filter(|row| row.number <= headings.row).count() as u64;
    import.rows = Some(i64::try_from(sheet.rows.saturating_sub(above)).map_err(Error::internal)?);
    let carried = Settings::carried(import.target, &book).ok().flatten();
    let saved = match carried.and_then(|settings| settings.columns_of(&headings.texts)) {
        Some(columns) => Some(columns),
        None => {
            let fingerprint = mappings::fingerprint(headings.texts.iter().map(String::as_str));
            mappings::find(&request.app.db.read, import.target, &fingerprint).await?
        }
    };
    let below: Vec<Line> = sheet.sample.iter().filter(|row| row.number > headings.row).map(Line::of).collect();
    let mut mapping = Mapping::propose(import.target, &headings.texts, &below, saved.as_deref());
    let mut violations = Violations::default();
    mapping.choose(import.target, &said.columns, &mut violations);
    choose_key(import, &mut mapping, said, &mut violations);
    violations.check()?;
    import.columns = None;
    import.state = State::Uploaded;
    if mapping.is_complete() {
        import.map(mapping.stored());
    }
    let warnings = warnings(import, &book, sheet, request).await?;
    Ok(Proposal { sheets: book.sheets.iter().map(Sheet::from).collect(), mapping, warnings })
}

/// Applies what is said of the import itself. What was staged of another sheet is void.
fn apply(import: &mut Import, said: &Said) {
    if let Some(sheet) = &said.sheet {
        import.sheet = Some(sheet.clone());
    }
    import.mode = said.mode.unwrap_or(import.mode);
    import.blank = said.blank.unwrap_or(import.blank);
    if let Some(options) = &said.options {
        import.options.0 = options.clone();
    }
    import.is_staged = false;
}

/// Looks at what the file holds.
///
/// # Errors
/// The file cannot be read, or an option cannot be used.
pub(super) async fn survey(import: &Import, file: File, said: &Said, request: &Request) -> Result<Book> {
    let options = said.options.as_ref().unwrap_or(&import.options.0);
    let mut violations = Violations::default();
    options.check(&mut violations);
    violations.check()?;
    let limits = &request.app.config.imports.sheets;
    request.context.put_off_deadline(limits.read_timeout);
    let source = Source::new(file, &import.file_name, options.text()).map_err(Error::internal)?;
    let book = request.context.slot().leave_during(sheets::survey(&source, limits)).await?;
    book.map_err(unreadable)
}

/// Only the owner of a file sees what is wrong with it.
pub(super) fn unreadable(error: sheets::Error) -> Error {
    match error {
        sheets::Error::Internal(cause) => Error::Internal(cause),
        error => Error::invalid("/file", error.code(), error.to_string()),
    }
}

/// The sheet that is named, else the first one with rows that is not hidden. Its name is kept.
fn chosen<'a>(import: &mut Import, book: &'a Book) -> Result<&'a sheets::Sheet> {
    let found = match &import.sheet {
        Some(name) => book.sheets.iter().find(|sheet| sheet.name == *name),
        None => {
            let shown = || book.sheets.iter().filter(|sheet| !sheet.is_hidden);
            shown().find(|sheet| sheet.rows > 0).or_else(|| shown().next())
        }
    };
    let sheet = found.ok_or_else(|| {
        let names: Vec<&str> = book.sheets.iter().map(|sheet| sheet.name.as_str()).collect();
        Error::invalid("/sheet", "no_such_sheet", format!("takes one of {}", names.join(", ")))
    })?;
    import.sheet = Some(sheet.name.clone()).filter(|name| !name.is_empty());
    Ok(sheet)
}

fn no_headings() -> Error {
    let message = "no row with headings: the first row that is not blank, or the one that headerRow names, has to hold them";
    Error::invalid("/headerRow", "no_headings", message)
}

/// Keeps the field that finds the record of a row: the one that is said, else the first that a column holds.
fn choose_key(import: &mut Import, mapping: &mut Mapping, said: &Said, violations: &mut Violations) {
    let known = import.target.keys();
    match &said.key {
        Some(key) => match known.iter().find(|known| known.eq_ignore_ascii_case(key.trim())) {
            Some(known) => import.key = (*known).to_owned(),
            None => violations.add("/key", "unknown_value", format!("takes one of {}", known.join(", "))),
        },
        None if mapping.holds(&import.key) => {}
        None => import.key = known.iter().find(|key| mapping.holds(key)).unwrap_or(&known[0]).to_string(),
    }
    mapping.require(import.needed());
}

/// What the user should know before the rows are used.
async fn warnings(import: &Import, book: &Book, sheet: &sheets::Sheet, request: &Request) -> Result<Vec<Warning>> {
    let plain = |code: &str, message: String| Warning { code: code.to_owned(), message, import_id: None };
    let mut warnings: Vec<Warning> = book.warnings.iter().map(|warning| plain(&warning.code, warning.message.clone())).collect();
    if sheet.hidden_rows > 0 {
        let what = if import.options.skips_hidden_rows { "left out" } else { "imported like the others" };
        warnings.push(plain("hidden_rows", format!("{} rows are hidden; they are {what}", sheet.hidden_rows)));
    }
    let others = book.sheets.iter().filter(|other| !other.is_hidden && other.name != sheet.name && other.rows > 0);
    let others: Vec<&str> = others.map(|other| other.name.as_str()).filter(|name| *name != NOTES_SHEET).collect();
    if !others.is_empty() {
        warnings.push(plain("other_sheets", format!("only one sheet is imported; there are also {}", others.join(", "))));
    }
    if template::is_outdated(import.target, book) {
        warnings.push(plain("old_template", "the file was made from an older template; a new one has other columns".into()));
    }
    match Settings::carried(import.target, book) {
        Ok(None) => {}
        Ok(Some(_)) => warnings.push(plain(
            "carried_settings",
            "the file has failed rows of an import; it is read like the file of that, unless the request says otherwise".into(),
        )),
        Err(Unusable) => warnings.push(plain("unusable_settings", Unusable.to_string())),
    }
    if let Some(earlier) = store::same_file(&request.app.db.read, import).await? {
        let message = "the same file was imported before; rows with the same keys create nothing new".to_owned();
        warnings.push(Warning { code: "same_file".into(), message, import_id: Some(earlier.0) });
    }
    Ok(warnings)
}
