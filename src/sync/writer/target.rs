//! The target of the pipeline: the index with the backlog beside it.
//!
//! A trait, so that the order of the pipeline is tested against a simulated target under a simulated clock.

use std::collections::BTreeSet;

use crate::sync::stream::batch::Batch;

/// Where changes go. An error ends the pipeline, which begins again where it had confirmed; an index that is away or busy is none.
pub trait Target: Send + Sync + 'static {
    /// Returns once every snapshot sees these transactions.
    fn gate(&self, transactions: &[u32]) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Writes what a batch has marked, which has passed the gate. Called several times at once.
    fn write(&self, batch: Batch) -> impl Future<Output = anyhow::Result<Applied>> + Send;

    /// Keeps what a batch has marked in the backlog and returns the collections that are owed something.
    fn store(&self, batch: Batch) -> impl Future<Output = anyhow::Result<BTreeSet<&'static str>>> + Send;

    /// Lets everything that was written be found, and says whether the index was there to do so.
    fn refresh(&self, indices: &BTreeSet<String>) -> impl Future<Output = anyhow::Result<bool>> + Send;

    /// Says whether the index answers at all.
    fn answers(&self) -> impl Future<Output = bool> + Send;
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Applied {
    /// The indices that have to be refreshed before it can be found.
    pub touched: BTreeSet<String>,
    /// Collections that have documents in the backlog by it.
    pub owed: BTreeSet<&'static str>,
    /// What the index did not take.
    pub unwritten: Batch,
}
