//! The one integration test binary: everything runs against real servers, through HTTP where possible.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on is to fail where it stands")]
#![expect(unreachable_pub, reason = "nothing outside of this binary could use what it says is public")]

mod analytics;
mod api;
mod audit;
mod auth;
mod bench;
mod cache;
mod canaries;
mod cli;
mod dashboard;
mod db;
mod exports;
mod faults;
mod features;
mod feed;
mod freshness;
mod harness;
mod hostile;
mod http;
mod imports;
mod jobs;
mod limits;
mod masking;
mod notifications;
mod openapi;
mod realtime;
#[path = "../relevance/mod.rs"]
mod relevance;
mod saved_searches;
mod search;
mod searchable;
mod sheets;
mod soak;
mod storage;
mod sync;
mod text;
mod tidy;
