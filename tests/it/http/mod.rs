//! HTTP transport.

pub(crate) mod answers;
pub(crate) mod limits;
