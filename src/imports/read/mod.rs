//! Reading: what the cells of a file mean, by its header and the form of each column.

pub(super) mod header;
pub(super) mod record;
pub(super) mod survey;
pub(super) mod value;
