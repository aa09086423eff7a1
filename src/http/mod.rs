//! HTTP transport: listening, limits, headers, route tables and problem details. It knows no feature.

mod connections;
mod context;
mod finalize;
mod gateway;
mod listen;
pub(crate) mod message;
pub(crate) mod problem;
mod protocol;
mod routes;
mod slots;
mod unmatched;

pub use context::RequestContext;
pub use finalize::with_secrets;
pub use listen::{FrameBudget, FrameViolation, Listener, bind, bind_admin, listen};
pub use protocol::{Protocol, ProtocolAddress};
pub use routes::{Route, Routes, Row};
pub(crate) use slots::BodyRoom;
pub use slots::Slot;
pub use unmatched::Denied;

/// What warp sends.
pub type Response = warp::reply::Response;
