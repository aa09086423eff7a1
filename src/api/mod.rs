//! The conventions of the API: requests, replies, JSON, lists, writes, idempotency.

mod context;
pub mod fields;
pub mod files;
mod idempotency;
pub(crate) mod json;
pub mod paging;
mod precondition;
mod record;
mod reply;
mod request;
mod routes;
mod shape;
mod sync_token;
mod write;

pub use context::{Authority, Context};
pub use fields::{FieldValue, Fields, Member};
pub use record::Record;
pub use reply::{Reply, created, json, no_content, respond, text};
pub use request::{Request, request};
pub use shape::RecordWriter;
pub use write::Contended;
