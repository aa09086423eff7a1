//! The running sync: event loop, dispatcher, backlog worker.

pub mod backlog_worker;
pub mod dispatcher;
pub mod event_loop;
pub mod lag;
pub mod linger;
pub mod progress;

use tokio::sync::{Notify, watch};

use crate::values::lsn::Lsn;

/// Channels between the leader session and the pipeline.
#[derive(Debug, Default)]
pub struct SessionChannels {
    /// Asks for a heartbeat now: a request waits for an LSN past the last commit, which no change would ever reach.
    pub heartbeat_now: Notify,
    /// The confirmed LSN of the last checkpoint that is saved.
    pub saved: watch::Sender<Lsn>,
}
