//! What the sync detects by itself: it says what is wrong, and goes on when that is over.

pub(crate) mod answers;
pub(crate) mod blocks;
pub(crate) mod commands;
pub(crate) mod publication;
pub(crate) mod restored;

use std::time::Duration;

use collections::sync::store::checkpoint;

use crate::harness::eventually::eventually;
use crate::harness::synced::Synced;

/// Waits until the leader says what is wrong, in these words and to every process.
async fn expect_problem(test: &Synced, words: &[&str]) {
    eventually(&format!("the problem says {words:?}"), async || {
        let problem = checkpoint::read(&test.pool).await.unwrap().problem.unwrap_or_default();
        words.iter().all(|word| problem.contains(word))
    })
    .await;
}

/// Waits until nothing is wrong.
async fn expect_no_problem(test: &Synced) {
    eventually("the problem is solved", async || {
        test.app.watermark.status.report().problem.is_none() && checkpoint::read(&test.pool).await.unwrap().problem.is_none()
    })
    .await;
}

async fn epoch(test: &Synced) -> u16 {
    checkpoint::read(&test.pool).await.unwrap().epoch.0
}

/// Long enough for a few retries, in which nothing may change.
async fn a_while() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}
