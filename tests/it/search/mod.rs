//! Lists and indices.

mod agreement;
mod credentials;
pub(crate) mod index;
mod language;
mod limits;
pub(crate) mod lists;
mod past_due;
mod ranking;
mod refusals;
mod templates;
mod universal;
