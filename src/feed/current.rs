//! How current the announcements are: looked at by where the log ends, because a stream may speak all the time and be far behind.

use std::collections::VecDeque;
use std::time::Duration;

use sqlx::PgExecutor;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Feed;
use crate::values::lsn::Lsn;

/// How often the end of the log is looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// Looks that wait for the announcements; while these are far behind, later ones are not needed.
const MOST: usize = 1_000;

/// How current the announcements are.
///
/// Whatever was committed before a look lies before the end of the log that it found. So once the announcements have come there,
/// they are as current as the look is old. That needs nobody else's clock, however long the way from the leader to here.
#[derive(Debug, Default)]
pub(super) struct Current {
    looks: VecDeque<(Lsn, Instant)>,
    as_of: Option<Instant>,
}

impl Current {
    /// Notes where the log ended after a moment.
    fn look(&mut self, end: Lsn, since: Instant) {
        if self.looks.len() < MOST {
            self.looks.push_back((end, since));
        }
    }

    /// Takes in how far the announcements are, whenever there is one: without any, where they are says nothing.
    pub(super) fn reach(&mut self, reached: Lsn) {
        while let Some((_, since)) = self.looks.pop_front_if(|(end, _)| *end <= reached) {
            self.as_of = Some(since);
        }
    }

    /// Forgets how current they are, until the next look is reached.
    pub(super) fn doubt(&mut self) {
        self.as_of = None;
    }

    /// Whether everything is announced that was committed so long ago.
    pub(super) fn is_within(&self, silence: Duration) -> bool {
        self.as_of.is_some_and(|as_of| as_of.elapsed() <= silence)
    }
}

/// Looks again and again.
pub(super) async fn watch(feed: &Feed) {
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let since = Instant::now();
        match log_end(&feed.pool).await {
            Ok(end) => feed.current().look(end, since),
            Err(error) => tracing::debug!(%error, "nobody says how current the announcements are"),
        }
    }
}

/// Where the log ends: everything that has been committed lies before.
///
/// # Errors
/// The database's.
pub async fn log_end(executor: impl PgExecutor<'_>) -> sqlx::Result<Lsn> {
    let end = sqlx::query_scalar!(r#"select pg_current_wal_insert_lsn()::text as "position!""#).fetch_one(executor).await?;
    end.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Goes through seconds: where the log ends, how far the announcements are if there is one, and how old is what is not announced.
    async fn check(seconds: &[(u64, Option<u64>, Option<u32>)]) {
        let mut current = Current::default();
        for (second, (end, reached, age)) in seconds.iter().enumerate() {
            current.look(Lsn(*end), Instant::now());
            if let Some(reached) = reached {
                current.reach(Lsn(*reached));
            }
            let found = (0..9).find(|age| current.is_within(SECOND * *age));
            assert_eq!(found, *age, "in second {second}");
            sleep(SECOND).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn announcements_are_as_current_as_the_last_look_that_they_have_reached() {
        check(&[(10, Some(10), Some(0)), (20, Some(20), Some(0)), (20, None, Some(1)), (20, Some(20), Some(0))]).await;
        // A large transaction: there are announcements all the time, and they get nowhere.
        check(&[(10, Some(10), Some(0)), (90, Some(10), Some(1)), (95, Some(10), Some(2)), (99, Some(90), Some(2))]).await;
        // A backlog: they move, and stay behind.
        check(&[(50, Some(10), None), (60, Some(20), None), (70, Some(55), Some(2)), (80, Some(65), Some(2))]).await;
        // Behind the last commit nothing comes until the leader's next heartbeat.
        check(&[(12, Some(10), None), (14, None, None), (16, Some(18), Some(0))]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_reached_before_a_look_does_not_count() {
        let mut current = Current::default();
        current.reach(Lsn(100));
        current.look(Lsn(50), Instant::now());
        assert!(!current.is_within(SECOND), "the database may have gone back, and nobody has announced anything since");
        current.reach(Lsn(100));
        assert!(current.is_within(SECOND));
        current.doubt();
        current.reach(Lsn(100));
        assert!(!current.is_within(SECOND));
    }
}
