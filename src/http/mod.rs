//! The HTTP toolkit: route tables, requests, replies and the accept loop. It knows no feature.

mod edge;
mod exchange;
mod finish;
mod json;
mod listen;
pub mod paging;
mod problem;
mod read;
mod reply;
mod request;
mod routes;
mod row;
mod stream;
mod token;
mod unmatched;
mod write;

pub use exchange::Exchange;
pub use listen::{bind, listen};
pub use reply::{Reply, Response, created, json, no_content, respond, text};
pub use request::{Request, request};
pub use routes::{Routes, Row, one_of};
pub use row::Shown;
pub use unmatched::Denied;
