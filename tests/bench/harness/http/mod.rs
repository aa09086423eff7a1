//! An HTTP client, loads, and proxies in front of Elasticsearch.

pub mod client;
pub mod load;
pub mod recording_proxy;
pub mod switchable_proxy;
