//! Durable background work: jobs as rows, taken by workers, done in chunks.
//!
//! A job is enqueued on the connection of its cause, so it exists exactly if its cause was committed. A worker takes it under a
//! lease and does it chunk by chunk. The counts and the cursor of a chunk are written in the chunk's own transaction, which commits
//! only while the lease is the worker's: a process that is killed or frozen at any point repeats nothing and skips nothing.
//!
//! What a chunk does outside of its transaction, such as a file or a mail, may happen twice.

mod chunk;
mod job;
mod kind;
mod listener;
mod outcome;
pub mod parts;
pub mod queue;
mod removal;
mod runner;
pub mod schedule;
pub mod store;

pub use chunk::{Chunk, Next};
pub use job::{Item, ItemStatus, Job, Lane, State};
pub use kind::{Kind, Kinds};
pub use queue::{Enqueued, Terms, enqueue};
pub use removal::RemoveOld;
pub use runner::{run, work};
pub use schedule::Schedule;
