//! The one integration test binary: everything runs against real servers, through HTTP where possible.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on is to fail where it stands")]
#![expect(unreachable_pub, reason = "nothing outside of this binary could use what it says is public")]

mod accounts;
mod app;
mod auth;
mod cache;
mod client;
mod cluster;
mod customers;
mod database;
mod db;
mod decoder;
mod dice;
mod eventually;
mod faults;
mod feed;
mod health_command;
mod http;
mod http_limits;
mod idempotency;
mod imports;
mod index;
mod ledger;
mod lists;
mod payments;
mod process;
mod proxy;
mod reindex;
mod reindex_control;
mod row_cache;
mod seed;
mod serve;
mod sync;
mod sync_backlog;
mod sync_faults;
mod sync_hazards;
mod sync_leaders;
mod sync_model;
mod sync_oracle;
mod sync_verify;
mod synced;
mod text;
mod tidy;
mod tour;
mod wire;
mod work;
