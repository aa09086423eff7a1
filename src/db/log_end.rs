//! The end of Postgres' log.

use std::sync::Arc;

use sqlx::{PgExecutor, PgPool};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::values::lsn::Lsn;

/// The end of the log, which is behind everything that has been committed.
pub async fn log_end(executor: impl PgExecutor<'_>) -> sqlx::Result<Lsn> {
    let end = sqlx::query_scalar!(r#"select pg_current_wal_insert_lsn()::text as "lsn!""#).fetch_one(executor).await?;
    end.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// The end of the log for many readers: those that ask at the same time share one query.
#[derive(Clone, Debug, Default)]
pub struct LogEnd(Arc<Mutex<Option<Answer>>>);

#[derive(Clone, Copy, Debug)]
struct Answer {
    asked: Instant,
    end: Option<Lsn>,
}

impl LogEnd {
    /// An end behind everything that had been committed when this was called; none if Postgres does not answer.
    pub async fn get(&self, pool: &PgPool) -> Option<Lsn> {
        self.share(async || log_end(pool).await.ok()).await
    }

    async fn share(&self, ask: impl AsyncFnOnce() -> Option<Lsn>) -> Option<Lsn> {
        let called = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(answer) = last.filter(|answer| answer.asked >= called) {
            return answer.end;
        }
        let asked = Instant::now();
        let end = ask().await;
        *last = Some(Answer { asked, end });
        end
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn those_that_ask_at_the_same_time_share_a_query_that_began_after_they_asked() {
        let (shared, asked) = (LogEnd::default(), Cell::new(0));
        let ask = async || {
            asked.set(asked.get() + 1);
            yield_now().await;
            Some(Lsn(asked.get()))
        };
        let ends = join_all((0..50).map(|_| shared.share(ask))).await;
        // The first query was under way when the others asked.
        assert_eq!((ends[0], &ends[1..]), (Some(Lsn(1)), &[Some(Lsn(2)); 49][..]));
        assert_eq!((shared.share(ask).await, shared.share(async || None).await), (Some(Lsn(3)), None));
        assert_eq!(shared.share(ask).await, Some(Lsn(4)));
    }
}
