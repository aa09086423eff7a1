//! Lists and indices.

mod agreement;
mod credentials;
pub(crate) mod index;
mod limits;
pub(crate) mod lists;
mod universal;
