//! Events over every transport: what is heard, by whom, and what becomes of clients that keep to no rules.

mod delivery;
mod hostile;
mod resume;
mod rights;
mod socketio;
mod sse;
mod transports;
