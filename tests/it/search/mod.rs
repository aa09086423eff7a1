//! Lists and indices.

mod agreement;
mod credentials;
mod facets;
pub(crate) mod index;
mod limits;
pub(crate) mod lists;
