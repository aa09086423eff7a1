//! HTTP transport: listening, limits, headers, route tables and problem details. It knows no feature.

mod context;
mod finalize;
mod gateway;
mod listen;
pub(crate) mod problem;
mod routes;
mod unmatched;
mod write_deadline;

pub use context::RequestContext;
pub use listen::{bind, listen};
pub use routes::{Routes, Row, one_of};
pub use unmatched::Denied;

/// What warp sends.
pub type Response = warp::reply::Response;
