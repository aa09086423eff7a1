//! What tests are built from: an application or a sync of their own, servers that can be broken, clients, chance.

pub(crate) mod amount;
pub(crate) mod app;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod database;
mod described;
pub(crate) mod dice;
pub(crate) mod engines;
pub(crate) mod event_stream;
pub(crate) mod eventually;
pub(crate) mod gateway;
pub(crate) mod people;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod random_work;
pub(crate) mod raw_socket;
pub(crate) mod redact;
pub(crate) mod redis;
pub(crate) mod socket;
pub(crate) mod socketio;
pub(crate) mod subscriber;
pub(crate) mod synced;
