//! HTTP transport.

mod admission;
pub(crate) mod answers;
mod files;
mod hostile;
pub(crate) mod limits;
mod messages;
mod sizes;
