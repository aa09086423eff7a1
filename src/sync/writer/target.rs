//! The target of the pipeline: Elasticsearch and the backlog.
//!
//! It is a trait, so that the pipeline's ordering is tested against a simulated target under a simulated clock.

use std::collections::BTreeSet;

use crate::sync::stream::batch::Batch;

/// Where batches go. An error ends the pipeline, which starts again at the checkpoint; an outage of Elasticsearch is not an error.
pub trait Target: Send + Sync + 'static {
    /// Waits until every new snapshot sees these transactions.
    fn wait_visible(&self, transactions: &[u32]) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Writes the documents of a visible batch. Called several times at once.
    fn write(&self, batch: Batch) -> impl Future<Output = anyhow::Result<BatchResult>> + Send;

    /// Stores a batch in the backlog; returns its collections.
    fn store(&self, batch: Batch) -> impl Future<Output = anyhow::Result<BTreeSet<&'static str>>> + Send;

    /// Makes everything written searchable; returns false if Elasticsearch does not answer.
    fn refresh(&self, indices: &BTreeSet<String>) -> impl Future<Output = anyhow::Result<bool>> + Send;

    /// Whether Elasticsearch answers at all.
    fn answers(&self) -> impl Future<Output = bool> + Send;
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct BatchResult {
    /// Live indices that were written to and have to be refreshed.
    pub touched: BTreeSet<String>,
    /// Collections that the batch has put something into the backlog for.
    pub backlogged: BTreeSet<&'static str>,
    /// What Elasticsearch did not take for now.
    pub unwritten: Batch,
}
