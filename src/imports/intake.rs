//! A file of an operator becomes an import: its sheet and header are chosen, its columns mapped, and it is stored.

use std::fs::File;
use std::io;

use sha2::{Digest as _, Sha256};

use super::fields::Target;
use super::mapping::{Choice, Column, Headings, How, Mapping};
use super::store::{self, Blank, Import, KEPT, Mode, Options};
use super::workbooks::settings::Settings;
use crate::api::Authority;
use crate::app::App;
use crate::error::{Violation, Violations};
use crate::sheets::{self, Book, Kind, Sheet, Source};
use crate::storage::{self, NewFile};

/// What an operator says of a file.
#[derive(Clone, Debug)]
pub struct Wish {
    pub target: Target,
    /// By default as the file itself says, if it has failed rows of an import; else insert.
    pub mode: Option<Mode>,
    /// The field that finds the record of a row; by default the target's own.
    pub key: Option<String>,
    pub blank: Option<Blank>,
    /// By default the first one that is shown and has rows.
    pub sheet: Option<String>,
    /// As the spreadsheet counts; by default the first row that looks like headings.
    pub header_row: Option<u64>,
    pub options: Options,
    /// Fields for headings; the others find theirs as in uploads.
    pub choices: Vec<Choice>,
}

/// Nothing was imported, because the file or an option is wrong; the source says what.
#[derive(Debug, thiserror::Error)]
#[error("the file cannot be imported")]
pub struct Unusable(#[source] anyhow::Error);

/// Stores a file as an import that can be validated and committed. Answers the columns with their fields too, as lines for people.
///
/// # Errors
/// [`Unusable`], before anything is stored; the disk or the database fails.
pub async fn open(app: &App, file: File, name: &str, wish: Wish) -> anyhow::Result<(Import, String)> {
    let sha256 = digest(file.try_clone()?).await?;
    let mut import = Import::new(wish.target, name.to_owned(), sha256);
    import.authority = Authority::Full;
    if let Some(key) = &wish.key {
        let known = wish.target.keys();
        if !known.contains(&key.as_str()) {
            return Err(unusable(format!("there is no key {key}; there are {}", known.join(", "))));
        }
    }
    let source = Source::new(file.try_clone()?, name, wish.options.text())?;
    let book = sheets::survey(&source, &app.config.imports.sheets).await.map_err(|error| Unusable(error.into()))?;
    let carried = Settings::carried(wish.target, &book);
    if let Ok(Some(Settings { mode, key, blank, options, .. })) = carried.clone() {
        (import.mode, import.key, import.blank, import.options.0) = (mode, key, blank, options);
    }
    import.mode = wish.mode.unwrap_or(import.mode);
    import.key = wish.key.unwrap_or(import.key);
    import.blank = wish.blank.unwrap_or(import.blank);
    import.options.0 = wish.options.or(import.options.0);
    let sheet = choose(&book, wish.sheet.as_deref())?;
    if book.kind != Kind::Text {
        import.sheet = Some(sheet.name.clone());
    }
    let headings = Headings::find(wish.target, book.kind, sheet, wish.header_row)
        .ok_or_else(|| unusable("the sheet has no such row for a header, or it is empty".into()))?;
    import.header_row = i64::try_from(headings.row)?;
    let saved = carried.as_ref().ok().and_then(|settings| settings.as_ref()?.columns_of(&headings.texts));
    let mut mapping = Mapping::propose(wish.target, &headings.texts, &[], saved.as_deref());
    let mut violations = Violations::default();
    mapping.choose(wish.target, &wish.choices, &mut violations);
    mapping.require(import.needed());
    mapping.check(&mut violations);
    let mut lines = carried.err().map(|error| format!("warning: {error}")).into_iter().collect::<Vec<_>>();
    lines.extend(mapping.columns.iter().map(line));
    if !violations.is_empty() {
        let faults: Vec<String> = violations.iter().map(|violation| fault(violation, &wish.choices)).collect();
        let remedy = "map a column with --map \"THEIRS=OURS\", leave one out with --map \"THEIRS=\"";
        return Err(unusable(format!("the header cannot be used:{}\n{remedy}\n{}", faults.concat(), lines.join("\n"))));
    }
    import.map(mapping.stored());
    let now = app.clock.now();
    let mut transaction = app.db.server.begin().await?;
    let new = NewFile { name, by: None, created_at: now, expires_at: now + KEPT };
    import.file_id = Some(storage::store(&mut transaction, file, new).await?.0);
    store::insert(&mut transaction, &import).await?;
    transaction.commit().await?;
    Ok((import, lines.join("\n")))
}

/// What a column holds.
fn line(column: &Column) -> String {
    let heading = &column.heading;
    match (column.field, column.suggestion) {
        (Some(field), _) if column.how == Some(How::Fuzzy) => format!("  {heading} -> {field}, which is nearly the same"),
        (Some(field), _) => format!("  {heading} -> {field}"),
        (None, Some(name)) => format!("  {heading} -> left out; if it is {name}, pass --map {:?}", format!("{heading}={name}")),
        (None, None) => format!("  {heading} -> left out"),
    }
}

/// What is wrong, and with which choice.
fn fault(violation: &Violation, choices: &[Choice]) -> String {
    let choice = violation.pointer.split('/').nth(2).and_then(|at| choices.get(at.parse::<usize>().ok()?));
    let of = choice.and_then(|choice| choice.heading.as_ref()).map(|heading| format!("{heading:?}: ")).unwrap_or_default();
    format!("\n- {of}{}", violation.message)
}

fn unusable(why: String) -> anyhow::Error {
    Unusable(anyhow::Error::msg(why)).into()
}

fn choose<'a>(book: &'a Book, name: Option<&str>) -> anyhow::Result<&'a Sheet> {
    let chosen = match name {
        Some(name) => book.sheets.iter().find(|sheet| sheet.name == name),
        None => book.sheets.iter().find(|sheet| !sheet.is_hidden && sheet.rows > 0),
    };
    chosen.ok_or_else(|| {
        let names: Vec<&str> = book.sheets.iter().map(|sheet| sheet.name.as_str()).collect();
        unusable(format!("there is no such sheet with rows; there are {}", names.join(", ")))
    })
}

async fn digest(mut file: File) -> anyhow::Result<[u8; 32]> {
    let digest = move || -> io::Result<[u8; 32]> {
        let mut hash = Sha256::new();
        io::Seek::rewind(&mut file)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match io::Read::read(&mut file, &mut buffer)? {
                0 => return Ok(hash.finalize().into()),
                length => hash.update(&buffer[..length]),
            }
        }
    };
    Ok(tokio::task::spawn_blocking(digest).await??)
}
