//! Files in Postgres: uploads, and what jobs write. Every server and worker reaches them, and nothing is left on a disk.
//!
//! A file is rows of at most a megabyte, so that none is ever whole in memory. It is written on the caller's connection: it exists,
//! and grows, exactly if the caller's transaction commits.

mod read;
mod removal;
mod write;

pub use read::{StoredFile, copy_to_temporary, find, stream};
pub use removal::RemoveExpired;
pub use write::{NewFile, append, clear, create, fill, remove, store};
