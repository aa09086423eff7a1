//! The change stream: reading the replication slot, decoding pgoutput, collecting dirty keys, the visibility barrier.

mod announce;
pub mod barrier;
pub mod batch;
pub mod decoder;
pub mod publication;
pub mod source;

use pgwire_replication::ReplicationEvent;

use crate::values::lsn::Lsn;

/// Where changes come from.
pub trait ChangeStream: Send {
    /// Waits for the next event. Cancelling loses none.
    fn next(&mut self) -> impl Future<Output = anyhow::Result<ReplicationEvent>> + Send;

    /// Lets Postgres drop its log before an LSN.
    fn confirm(&self, lsn: Lsn);

    /// Ends the stream in order, so that the last confirmation arrives.
    fn stop(self) -> impl Future<Output = ()> + Send;
}
