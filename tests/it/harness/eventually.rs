//! Waiting with a deadline: a test that hangs says nothing and holds up everything after it.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Far beyond what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until something holds, and fails with what it is if it never does.
pub async fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) {
    within(PATIENCE, what, holds).await;
}

/// The same of what may take longer.
pub async fn within(patience: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(patience, waiting).await.is_ok(), "not within {patience:?}: {what}");
}
