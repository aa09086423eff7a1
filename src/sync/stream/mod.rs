//! The change stream: reading the replication slot, decoding pgoutput, collecting dirty keys, the visibility barrier.

pub mod barrier;
pub mod batch;
pub mod decoder;
pub mod source;

use pgwire_replication::ReplicationEvent;

use crate::values::lsn::Lsn;

/// Where changes come from.
pub trait ChangeStream: Send {
    /// Waits for the next event. May be cancelled without losing one.
    fn next(&mut self) -> impl Future<Output = anyhow::Result<ReplicationEvent>> + Send;

    /// Lets the server forget what is before the position.
    fn confirm(&self, position: Lsn);

    /// Ends the stream so that the last confirmation arrives.
    fn stop(self) -> impl Future<Output = ()> + Send;
}
