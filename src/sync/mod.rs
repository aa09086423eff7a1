//! Keeps the index equal to Postgres: commit → WAL → `source` → `change` → `batch` → `gate` → `outlet` → `apply` → confirmed.
//!
//! # Why the index is right
//!
//! A document is written with a version and a content. Two rules hold: the content was read in a snapshot that includes every
//! commit up to the version, and every commit that affects a document causes a write with at least that commit's version. The
//! index keeps the highest version, so whatever the order, the repetition or the number of writers, what remains is right.
//!
//! - The version is a position of the stream: of the newest commit of the batch. Never of a read: two reads at one position can
//!   differ.
//! - A commit is streamed before other sessions see it, so a batch passes the `gate` before anything is read.
//! - What is read apart from the stream (a rebuild, a repair) is written with a floor strictly below any later commit.
//! - A position is confirmed when everything up to it is acknowledged by the index, in stream order, or stored in the `backlog`:
//!   what many documents have to follow, and what waits for an index that is away. The slow `lane` writes that. What is `hot` is
//!   held back in memory, and keeps the position back for as long.
//! - Where positions may have gone back, a new epoch begins, above all versions before, and every index is built anew. A database
//!   that does not know that it went back is known by its high-water mark.

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
