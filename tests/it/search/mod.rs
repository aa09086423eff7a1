//! Lists and indices.

pub(crate) mod index;
pub(crate) mod lists;
