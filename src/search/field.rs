//! One row in a feature's table of fields, from which filters, sorting, mappings, request rules and imports follow.

use crate::validate::Words;
use crate::values::personal::Personal;

/// A field of a record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name on the wire: `dueDate`.
    pub name: &'static str,
    /// What its values are, and so which operators it takes.
    pub kind: FieldKind,
    /// Path in the index by which it is filtered and sorted.
    pub path: &'static str,
    /// Expression in SQL, in the terms of the collection's tables: `a.due_date`. Empty for a field that lists cannot filter by.
    pub sql: &'static str,
    /// Where the endings of its values are, if they can be searched for.
    pub endings: Option<Endings>,
    /// Where the words of its values are, if they can be searched for.
    pub words: Option<WordForms>,
    pub sortable: bool,
    /// Whether the index holds it for more than display.
    pub indexed: bool,
    pub access: Access,
    /// What kind of personal data it is, if it is; the audit log masks its column too.
    pub personal: Option<Personal>,
    /// Fewest and most characters of a text.
    pub limits: (usize, usize),
    /// How imports find and read it, if they do.
    pub cell: Option<Cell>,
}

/// Where the endings of a field's values are.
#[derive(Clone, Copy, Debug)]
pub struct Endings {
    /// Name in the index, below `search`.
    pub name: &'static str,
    /// Array in SQL.
    pub sql: &'static str,
}

/// Where the folded words of a field's values are.
#[derive(Clone, Copy, Debug)]
pub struct WordForms {
    /// Path in the index of a text split at blanks.
    pub path: &'static str,
    /// Text in SQL with a blank before and after each word.
    pub sql: &'static str,
}

/// What the values of a field are.
#[derive(Clone, Copy, Debug)]
pub enum FieldKind {
    /// One of a few words.
    Keyword(&'static Words),
    /// Free text compared as a whole.
    Text,
    /// Free text compared without case, accents and punctuation.
    Folded,
    /// A currency (ISO 4217).
    Currency,
    /// A UUID.
    Id,
    /// A decimal on the wire and in the stored document, minor units in SQL and at `path`.
    Money,
    Integer,
    Day,
    /// A moment, to the millisecond.
    Moment,
    Flag,
    /// A list of words, of which one must match.
    Tags,
    /// Free JSON, as one flattened field.
    Object,
    /// A list of objects with this mapping.
    Parts(&'static [(&'static str, &'static str)]),
}

/// Who sets a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The server alone.
    Server,
    /// The request that creates the record; fixed from then on.
    Creation,
    /// Every write.
    Write,
}

/// How imports find and read a field.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Headings that mean it beside its own name: lower-case letters and digits only.
    pub headings: &'static [&'static str],
    /// Whether it is a number that is a name: digits lost to a spreadsheet's rounding are an error.
    pub is_identifier: bool,
    /// Whether an unreadable value is left out with a warning instead of losing the row.
    pub is_forgiven: bool,
}

/// Fields are rows of static tables.
impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Field {}

impl Field {
    /// A field whose path in the index is its name, and which the server alone sets.
    #[must_use]
    pub const fn new(name: &'static str, kind: FieldKind, sql: &'static str) -> Self {
        let access = Access::Server;
        Self {
            name,
            kind,
            path: name,
            sql,
            endings: None,
            words: None,
            sortable: false,
            indexed: true,
            access,
            personal: None,
            limits: (0, 0),
            cell: None,
        }
    }

    /// A field that is shown only: lists cannot filter by it, and the index holds it in the document alone.
    #[must_use]
    pub const fn shown(name: &'static str, kind: FieldKind) -> Self {
        Self { indexed: false, ..Self::new(name, kind, "") }
    }

    #[must_use]
    pub const fn sortable(self) -> Self {
        Self { sortable: true, ..self }
    }

    /// Sets the path in the index.
    #[must_use]
    pub const fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    #[must_use]
    pub const fn with_endings(self, name: &'static str, sql: &'static str) -> Self {
        Self { endings: Some(Endings { name, sql }), ..self }
    }

    /// Lets `[match]` look for its words.
    #[must_use]
    pub const fn with_words(self, path: &'static str, sql: &'static str) -> Self {
        Self { words: Some(WordForms { path, sql }), ..self }
    }

    /// Masks it for callers who may not see personal data.
    #[must_use]
    pub const fn personal(self, personal: Personal) -> Self {
        Self { personal: Some(personal), ..self }
    }

    /// Fixed once the record is there.
    #[must_use]
    pub const fn on_creation(self) -> Self {
        Self { access: Access::Creation, ..self }
    }

    #[must_use]
    pub const fn writable(self) -> Self {
        Self { access: Access::Write, ..self }
    }

    /// A writable text of so many characters.
    #[must_use]
    pub const fn length(self, min: usize, max: usize) -> Self {
        Self { limits: (min, max), ..self.writable() }
    }

    /// Lets imports read it under its own name and these headings.
    #[must_use]
    pub const fn headings(self, headings: &'static [&'static str]) -> Self {
        Self { cell: Some(Cell { headings, is_identifier: false, is_forgiven: false }), ..self }
    }

    /// As [`Field::headings`], for a number that is a name.
    #[must_use]
    pub const fn number_headings(self, headings: &'static [&'static str]) -> Self {
        Self { cell: Some(Cell { headings, is_identifier: true, is_forgiven: false }), ..self }
    }

    /// As [`Field::headings`], for a value that is not worth losing a row for.
    #[must_use]
    pub const fn forgiven_headings(self, headings: &'static [&'static str]) -> Self {
        Self { cell: Some(Cell { headings, is_identifier: false, is_forgiven: true }), ..self }
    }

    /// Whether lists can filter by it.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        !self.sql.is_empty()
    }

    /// Whether its values are compared as text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        use FieldKind::{Currency, Folded, Id, Keyword, Tags, Text};
        matches!(self.kind, Keyword(..) | Text | Folded | Currency | Id | Tags)
    }

    /// Indexed although lists cannot filter by it, for other readers of the index.
    #[must_use]
    pub const fn in_index(self) -> Self {
        Self { indexed: true, ..self }
    }

    /// Lists the operators that the field takes.
    #[must_use]
    pub fn operators(&self) -> Vec<&'static str> {
        let mut operators = vec!["eq", "ne", "in", "nin", "exists"];
        match self.kind {
            FieldKind::Money | FieldKind::Integer | FieldKind::Day | FieldKind::Moment => {
                operators.extend(["lt", "lte", "gt", "gte", "between"]);
            }
            FieldKind::Text | FieldKind::Folded => operators.push("prefix"),
            _ => {}
        }
        if self.endings.is_some() {
            operators.push("suffix");
        }
        if self.words.is_some() {
            operators.push("match");
        }
        operators
    }
}

/// Finds a field of a table while compiling: a name that is not there is a compile error.
#[must_use]
pub const fn field(fields: &'static [Field], name: &str) -> &'static Field {
    let mut at = 0;
    while at < fields.len() {
        if is_equal(fields[at].name.as_bytes(), name.as_bytes()) {
            return &fields[at];
        }
        at += 1;
    }
    panic!("the table has no field of this name")
}

const fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}
