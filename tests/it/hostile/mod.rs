//! Hostile clients: whatever they send, the server answers, and nothing breaks.

pub(crate) mod message;
pub(crate) mod mutate;
mod mutations;
