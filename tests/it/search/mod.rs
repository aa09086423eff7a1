//! Lists and indices.

mod aggregations;
mod agreement;
mod credentials;
mod facets;
mod generated;
pub(crate) mod index;
mod language;
mod limits;
pub(crate) mod lists;
mod past_due;
mod ranking;
mod refusals;
mod templates;
mod universal;
mod walks;
