//! Files of records: which columns they have, and their text as csv, xlsx or jsonl.

mod cell;
mod csv;
mod layout;
mod workbook;

pub(super) use csv::Reader;
pub(super) use layout::{Format, Layout, Mark};
pub(super) use workbook::Workbook;
