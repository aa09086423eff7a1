//! Lists and indices.

pub(crate) mod index;
mod limits;
pub(crate) mod lists;
