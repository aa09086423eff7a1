//! Lists and indices.

mod agreement;
mod credentials;
mod generated;
pub(crate) mod index;
mod limits;
pub(crate) mod lists;
