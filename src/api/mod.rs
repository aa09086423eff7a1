//! The conventions of the API: requests, replies, JSON, lists, writes, idempotency.

mod authors;
mod context;
pub mod fields;
pub mod figures;
pub mod files;
pub(crate) mod json;
pub mod paging;
mod record;
mod reply;
mod request;
mod routes;
mod shape;
mod sync_token;
mod write;

pub use authors::{Authors, show_authors};
pub use context::{Authority, Context};
pub use fields::{FieldValue, Fields, Member};
pub use record::Record;
pub use reply::{Reply, created, json, no_content, respond, text};
pub use request::{Request, request};
pub use shape::RecordWriter;
pub(crate) use shape::disclosed;
pub use write::Contended;
