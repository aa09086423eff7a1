//! What a collection can be filtered and sorted by.

use crate::validate::Words;

/// One thing to filter or sort by, for both engines.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name on the wire: `dueDate`.
    pub name: &'static str,
    /// What its values are, and so which operators it takes.
    pub kind: FieldKind,
    /// Path in the index.
    pub path: &'static str,
    /// Expression in SQL, in the terms of [`super::Collection::from`]: `a.due_date`.
    pub sql: &'static str,
    /// Where the endings of its values are, if they can be searched for.
    pub endings: Option<Endings>,
    /// Whether lists can be sorted by it.
    pub sortable: bool,
}

/// Where the endings of a field's values are.
#[derive(Clone, Copy, Debug)]
pub struct Endings {
    /// Path in the index.
    pub path: &'static str,
    /// Array in SQL.
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
    /// Money in minor units; on the wire a decimal in the currency that the filter names.
    Money,
    /// A whole number.
    Integer,
    /// A calendar day.
    Day,
    /// A moment.
    Moment,
    /// True or false.
    Flag,
    /// A list of words, of which one must match.
    Tags,
}

impl Field {
    /// A field whose path in the index is its name.
    #[must_use]
    pub const fn new(name: &'static str, kind: FieldKind, sql: &'static str) -> Self {
        Self { name, kind, path: name, sql, endings: None, sortable: false }
    }

    /// One of a few words.
    #[must_use]
    pub const fn keyword(name: &'static str, words: &'static Words, sql: &'static str) -> Self {
        Self::new(name, FieldKind::Keyword(words), sql)
    }

    /// Lets lists be sorted by it.
    #[must_use]
    pub const fn sortable(mut self) -> Self {
        self.sortable = true;
        self
    }

    /// Says where it is in the index.
    #[must_use]
    pub const fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// Says where its endings are.
    #[must_use]
    pub const fn with_endings(mut self, path: &'static str, sql: &'static str) -> Self {
        self.endings = Some(Endings { path, sql });
        self
    }

    /// Whether its values are compared as text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        use FieldKind::{Currency, Folded, Id, Keyword, Tags, Text};
        matches!(self.kind, Keyword(..) | Text | Folded | Currency | Id | Tags)
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
        operators
    }
}
