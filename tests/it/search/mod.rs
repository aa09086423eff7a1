//! Lists and indices.

mod agreement;
pub(crate) mod index;
mod limits;
pub(crate) mod lists;
