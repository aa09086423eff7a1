//! Lists and indices.

mod agreement;
mod credentials;
mod febrl;
pub(crate) mod index;
mod limits;
pub(crate) mod lists;
mod ranking;
