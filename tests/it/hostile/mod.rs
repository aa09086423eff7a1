//! Hostile clients: whatever they send, the server answers, and nothing breaks.

mod message;
mod mutate;
mod mutations;
