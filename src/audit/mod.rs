//! The audit log: who changed, read, searched and revealed what. Entries are only ever added, and chained by hashes.
//!
//! Changes are written by triggers, in the transaction of the change, so that nothing that changes a row can forget it; see the
//! migration. Reads are written soon after, many at once, by the [`Recorder`]. The [`sealer`](seal) chains both in the background:
//! a writer that chained its own entries would wait for all others. [`verify`] finds the first entry that is not as it was sealed.

mod actor;
mod chain;
mod entry;
mod recorder;
mod seal;
mod verify;

pub use actor::begin;
pub use chain::{Head, Keys};
pub use entry::{Action, Entry};
pub use recorder::Recorder;
pub use seal::{run, seal};
pub use verify::{Fault, Report, head, verify};
