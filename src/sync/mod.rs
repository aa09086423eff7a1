//! Keeps the index equal to Postgres: commit → WAL → `source` → `batch` → `barrier` → `dispatcher` → `writer` → confirmed.
//!
//! # Why the index is right
//!
//! A document is written with a version and a content. Two rules hold: the content was read in a snapshot that includes every
//! commit up to the version, and every commit that affects a document causes a write with at least that commit's version. The
//! index keeps the highest version, so writes may come in any order, more than once and from any number of writers.
//!
//! - The version is the LSN of the newest commit of the batch, never that of a read: two reads at one LSN can differ.
//! - Postgres streams a commit before other sessions see it, so a batch passes the visibility barrier before anything is read.
//! - Rows that are read apart from the stream (rebuild, repair) are written with a floor strictly below any later commit.
//! - An LSN is confirmed when everything up to it is acknowledged by Elasticsearch, in stream order, or stored in the backlog: large
//!   fan-outs, and what waits while Elasticsearch is away. The backlog worker writes that.
//! - Where LSNs may have gone back or changes were missed, a new epoch begins, above all versions before, and every index is rebuilt.
//!   The high-water mark tells when a database went back without knowing it, the catalogue when something was not published.
//!
//! `pipeline::progress` names the LSNs that a change passes.

pub mod generations;
pub mod integrity;
pub mod leader;
pub mod overview;
pub mod pipeline;
mod routes;
pub mod store;
pub mod stream;
pub mod writer;

pub use leader::election::run;
pub use routes::routes;
