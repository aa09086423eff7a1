//! How fast a rebuild may go: at full speed while live changes are written in time, and ever slower while they are not.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::app::App;

/// The first pause, the longest, and the least by which a pause shrinks with each chunk that goes well.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(5);
/// Longest pause for each document of a chunk, so that a rebuild comes to its end under endless changes, however small its chunks are.
const LONGEST_PER_DOCUMENT: Duration = Duration::from_millis(16);
/// The part of a pause by which it shrinks with each chunk that goes well.
const PART: u32 = 10;
/// Chunks are smaller by this factor for this time after a live change waited too long: it waits behind the chunks under way.
/// Large chunks cost less, and without live changes nothing waits for them.
const SMALLER: usize = 4;
const CAREFUL: Duration = Duration::from_secs(60);

/// Slows the writers of a rebuild down while live changes wait.
#[derive(Debug)]
pub(crate) struct Throttle(Mutex<Pace>);

impl Throttle {
    /// Starts at full speed; `limit` is how long a live change may wait.
    pub(crate) fn new(limit: Duration) -> Self {
        Self(Mutex::new(Pace::new(limit)))
    }

    /// Pauses before a chunk of some documents for as long as live changes need.
    pub(crate) async fn pause(&self, app: &App, documents: usize) {
        let pause = self.0.lock().next_pause(app.watermark.status.report().write_lag(), documents, Instant::now());
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }

    /// Returns the size of the next chunk, `full` at most.
    pub(crate) fn chunk(&self, full: usize) -> usize {
        self.0.lock().chunk(full, Instant::now())
    }
}

/// The pause between two chunks, doubled while live changes wait too long and shrinking while they do not; and the size of chunks.
#[derive(Debug)]
struct Pace {
    limit: Duration,
    pause: Duration,
    doubled_at: Option<Instant>,
    late_at: Option<Instant>,
}

impl Pace {
    fn new(limit: Duration) -> Self {
        Self { limit, pause: Duration::ZERO, doubled_at: None, late_at: None }
    }

    /// A pause is doubled again only after the time of the limit: several writers see the same change wait.
    fn next_pause(&mut self, lag: Duration, documents: usize, now: Instant) -> Duration {
        if lag <= self.limit {
            self.pause = self.pause.saturating_sub(STEP.max(self.pause / PART));
        } else {
            self.late_at = Some(now);
            if self.doubled_at.is_none_or(|doubled_at| now.duration_since(doubled_at) >= self.limit) {
                self.pause = (self.pause * 2).clamp(FIRST, LONGEST);
                self.doubled_at = Some(now);
            }
        }
        self.pause.min(LONGEST_PER_DOCUMENT * u32::try_from(documents).unwrap_or(u32::MAX))
    }

    fn chunk(&self, full: usize, now: Instant) -> usize {
        let is_careful = self.late_at.is_some_and(|late_at| now.duration_since(late_at) < CAREFUL);
        (if is_careful { full / SMALLER } else { full }).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_while_changes_wait_and_shrinks_by_parts() {
        let table = [
            // moment, lag, pause that follows
            (0, 0, 0),
            (0, 250, 0),
            (0, 251, 20),
            // The other writers see the same change.
            (10, 261, 20),
            (240, 491, 20),
            (250, 501, 40),
            (400, 0, 35),
            (500, 9_000, 70),
            (740, 9_000, 70),
            (750, 9_000, 140),
            (1_000, 260, 280),
            (1_250, 260, 560),
            (1_500, 260, 1_120),
            (1_750, 260, 2_000),
            (2_000, 260, 2_000),
            (2_010, 10, 1_800),
            (2_020, 10, 1_620),
            (2_250, 260, 2_000),
        ];
        let begin = Instant::now();
        let mut pace = Pace::new(Duration::from_millis(250));
        for (moment, lag, pause) in table {
            let next = pace.next_pause(Duration::from_millis(lag), 500, begin + Duration::from_millis(moment));
            assert_eq!(next, Duration::from_millis(pause), "at {moment} ms");
        }
    }

    #[test]
    fn chunks_are_small_for_a_while_after_a_change_was_late() {
        let begin = Instant::now();
        let mut pace = Pace::new(Duration::from_millis(100));
        assert_eq!(pace.chunk(500, begin), 500);
        pace.next_pause(Duration::from_millis(100), 500, begin);
        assert_eq!(pace.chunk(500, begin), 500);
        pace.next_pause(Duration::from_millis(101), 500, begin);
        assert_eq!([500, 3, 0].map(|full| pace.chunk(full, begin)), [125, 1, 1]);
        pace.next_pause(Duration::ZERO, 500, begin + CAREFUL / 2);
        assert_eq!(pace.chunk(500, begin + CAREFUL - Duration::from_millis(1)), 125);
        assert_eq!(pace.chunk(500, begin + CAREFUL), 500);
    }

    #[test]
    fn a_small_chunk_waits_for_a_short_time() {
        let mut pace = Pace::new(Duration::from_millis(100));
        let begin = Instant::now();
        let late = |pace: &mut Pace, documents, second| {
            pace.next_pause(Duration::from_secs(9), documents, begin + Duration::from_secs(second))
        };
        let longest = (0..20).map(|second| late(&mut pace, 3, second)).max();
        assert_eq!(longest, Some(Duration::from_millis(48)));
        assert_eq!([0, 1, 125, usize::MAX].map(|documents| late(&mut pace, documents, 20).as_millis()), [0, 16, 2_000, 2_000]);
    }

    #[test]
    fn a_long_pause_is_soon_over() {
        let mut pace = Pace::new(Duration::from_millis(100));
        let begin = Instant::now();
        for doubling in 0..20 {
            pace.next_pause(Duration::from_secs(1), 500, begin + Duration::from_secs(doubling));
        }
        let pauses = std::iter::from_fn(|| Some(pace.next_pause(Duration::ZERO, 500, begin)).filter(|pause| !pause.is_zero()));
        assert!(pauses.sum::<Duration>() < 10 * LONGEST);
    }
}
