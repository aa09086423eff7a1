//! The visibility barrier: Postgres streams a commit before other sessions see it, so a batch waits until all of its are visible.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use tracing::warn;

const SHORTEST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Waits until a new snapshot sees all of these transactions. Every later read of any session includes them.
///
/// Batches must pass in stream order. If a later one overtook, the writes of the earlier one would lose against its higher version.
pub async fn wait_visible(pool: &PgPool, transactions: &[u32]) -> sqlx::Result<()> {
    fail::fail_point!("sync-barrier-open", |_| Ok(()));
    if transactions.is_empty() {
        return Ok(());
    }
    let since = Instant::now();
    let mut pause = SHORTEST_PAUSE;
    let mut has_warned = false;
    loop {
        let text = sqlx::query_scalar!(r#"select pg_current_snapshot()::text as "snapshot!""#).fetch_one(pool).await?;
        let snapshot = Snapshot::parse(&text).ok_or_else(|| sqlx::Error::Protocol(format!("not a snapshot: {text}")))?;
        let Some(hidden) = transactions.iter().find(|transaction| !snapshot.sees(**transaction)) else { return Ok(()) };
        if !has_warned && since.elapsed() > Duration::from_secs(1) {
            has_warned = true;
            warn!(transaction = hidden, "waiting for a commit that is not visible yet; a synchronous standby may be slow");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What a session sees: transactions that had ended, and none that were running.
#[derive(Debug, PartialEq, Eq)]
struct Snapshot {
    oldest: u32,
    next: u32,
    running: Vec<u32>,
}

impl Snapshot {
    /// Parses `xmin:xmax:xip,…`. These numbers have 64 bits and those of the stream 32, so the low ones are compared.
    fn parse(text: &str) -> Option<Self> {
        let low = |number: &str| number.parse::<u64>().ok().and_then(|number| u32::try_from(number & 0xffff_ffff).ok());
        let mut parts = text.split(':');
        let (oldest, next, running) = (parts.next()?, parts.next()?, parts.next()?);
        let running = running.split(',').filter(|number| !number.is_empty()).map(low).collect::<Option<_>>()?;
        Some(Self { oldest: low(oldest)?, next: low(next)?, running })
    }

    fn sees(&self, transaction: u32) -> bool {
        before(transaction, self.oldest) || (before(transaction, self.next) && !self.running.contains(&transaction))
    }
}

/// Compares transaction ids, which wrap around: half of all are before any one of them.
fn before(one: u32, other: u32) -> bool {
    one != other && other.wrapping_sub(one) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(snapshot: &str, seen: &[u32], hidden: &[u32]) {
        let snapshot = Snapshot::parse(snapshot).unwrap();
        for transaction in seen {
            assert!(snapshot.sees(*transaction), "{transaction} in {snapshot:?}");
        }
        for transaction in hidden {
            assert!(!snapshot.sees(*transaction), "{transaction} in {snapshot:?}");
        }
    }

    #[test]
    fn a_snapshot_sees_transactions_that_had_ended() {
        check("100:100:", &[99, 3], &[100, 101]);
        check("100:105:100,103", &[99, 101, 102, 104], &[100, 103, 105, 106]);
    }

    #[test]
    fn transaction_ids_wrap_around() {
        check("4294967290:4294967300:4294967295,4294967297", &[4_294_967_289, 4_294_967_294, 0, 2, 3], &[4_294_967_295, 1, 4, 5]);
        check("8589934600:8589934600:", &[7, 4_294_967_295], &[8, 9]);
    }

    #[test]
    fn broken_snapshots_are_rejected() {
        for broken in ["", "1", "1:2", "a:2:", "1:2:x"] {
            assert_eq!(Snapshot::parse(broken), None, "{broken}");
        }
    }
}
