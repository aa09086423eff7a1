//! HTTP as the benchmark speaks it: a cheap client, loads made with it, and proxies in front of Elasticsearch.

pub mod client;
pub mod load;
pub mod recording_proxy;
pub mod switchable_proxy;
