//! The header of a file: which column holds which field.

use crate::imports::fields::{Field, Target};
use crate::imports::store;

#[derive(Debug)]
pub(in crate::imports) struct Header {
    /// In the order of the file.
    pub(in crate::imports) columns: Vec<Column>,
}

#[derive(Debug)]
pub(in crate::imports) struct Column {
    pub(in crate::imports) heading: String,
    /// `None` if it is not imported.
    pub(in crate::imports) field: Option<&'static Field>,
}

impl Header {
    /// The header of columns that are mapped. A field that this program does not know is left out.
    pub(in crate::imports) fn of(target: Target, columns: &[store::Column]) -> Self {
        let field = |name: &String| target.fields().iter().find(|field| field.name == name);
        let column =
            |column: &store::Column| Column { heading: column.heading.clone(), field: column.field.as_ref().and_then(field) };
        Self { columns: columns.iter().map(column).collect() }
    }

    pub(in crate::imports) fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.field.is_some_and(|field| field.name == name))
    }
}
