//! HTTP transport.

mod admission;
pub(crate) mod answers;
mod compression;
mod cors;
mod files;
mod hostile;
pub(crate) mod limits;
pub(crate) mod matrix;
mod messages;
mod sizes;
mod tls;
