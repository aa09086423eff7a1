//! The ranges of ids that a rebuild is made of: how they are cut, and how far each is.

use sqlx::{AssertSqlSafe, PgExecutor};
use uuid::Uuid;

use crate::app::App;
use crate::search::Collection;

/// Ids that are looked at to cut a table into equal parts.
const SAMPLE: f64 = 10_000.0;
/// Ranges to one worker, so that those who are done early find more to do.
const TO_A_WORKER: usize = 4;

/// One piece of a rebuild: the ids above `low`, up to and with `high`; without an end on that side where it is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its place among the ranges of its index.
    pub number: i32,
    /// The end of the range before.
    pub low: Option<Uuid>,
    /// Its own end.
    pub high: Option<Uuid>,
    /// Everything up to here is in the index.
    pub cursor: Option<Uuid>,
    /// How many documents were written.
    pub documents: i64,
}

/// Returns the ranges of an index that is being filled. The first time they are cut so that each has about as many rows as any
/// other; ids grow with time, so halves of all possible ids would not.
///
/// # Errors
/// The database's.
pub async fn plan(app: &App, collection: &Collection, index: &str) -> anyhow::Result<Vec<Range>> {
    let known = all(&app.db.sync, index).await?;
    if !known.is_empty() {
        return Ok(known);
    }
    let total = count(app, collection).await?;
    let settings = &app.config;
    let most = settings.reindex.parallel.max(1) * TO_A_WORKER;
    // A range below the size of a request would only make requests smaller.
    let parts = usize::try_from(total)?.div_ceil(settings.sync.reindex_batch_size()).clamp(1, most);
    let ends = cut(&sample(app, collection, total).await?, parts);
    let lows: Vec<Option<Uuid>> = std::iter::once(None).chain(ends.iter().copied().map(Some)).collect();
    let highs: Vec<Option<Uuid>> = ends.iter().copied().map(Some).chain(std::iter::once(None)).collect();
    sqlx::query!(
        r#"
        with counted as (update index_generations set total = $2, documents = 0 where index_name = $1)
        insert into index_ranges (index_name, number, low, high)
        select $1, number - 1, low, high
        from unnest($3::uuid[], $4::uuid[]) with ordinality as cut (low, high, number)
        on conflict do nothing
        "#,
        index,
        total,
        &lows as &[Option<Uuid>],
        &highs as &[Option<Uuid>],
    )
    .execute(&app.db.sync)
    .await?;
    Ok(all(&app.db.sync, index).await?)
}

/// Lists the ranges of an index.
///
/// # Errors
/// The database's.
pub async fn all(executor: impl PgExecutor<'_>, index: &str) -> sqlx::Result<Vec<Range>> {
    sqlx::query_as!(
        Range,
        "select number, low, high, cursor, documents from index_ranges where index_name = $1 order by number",
        index,
    )
    .fetch_all(executor)
    .await
}

/// Forgets the ranges of an index that has to be filled from the start.
///
/// # Errors
/// The database's.
pub async fn clear(executor: impl PgExecutor<'_>, index: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from index_ranges where index_name = $1", index).execute(executor).await.map(drop)
}

/// Moves a range on to `cursor`, `documents` further than it was, and notes the speed.
///
/// Returns false if the rebuild was cancelled, or the last words of a leader that is gone have moved the range meanwhile; see
/// [`again`].
///
/// # Errors
/// The database's.
pub async fn advance(
    executor: impl PgExecutor<'_>,
    index: &str,
    range: &Range,
    cursor: Uuid,
    documents: usize,
    rate: f64,
) -> anyhow::Result<bool> {
    let moved = sqlx::query!(
        r#"
        with moved as (
          update index_ranges
          set cursor = $4, documents = documents + $5
          where index_name = $1 and number = $2 and cursor is not distinct from $3
          returning 1
        )
        update index_generations
        set documents = documents + $5, rate = $6, updated_at = now()
        where index_name = $1 and state = 'building' and wanted is null and exists (select from moved)
        "#,
        index,
        range.number,
        range.cursor,
        cursor,
        i64::try_from(documents)?,
        rate,
    )
    .execute(executor)
    .await?;
    Ok(moved.rows_affected() > 0)
}

/// Reads a range again; there is none if the rebuild was cancelled.
///
/// # Errors
/// The database's.
pub async fn again(executor: impl PgExecutor<'_>, index: &str, number: i32) -> sqlx::Result<Option<Range>> {
    sqlx::query_as!(
        Range,
        r#"
        select number, low, high, r.cursor, r.documents
        from index_ranges r
        join index_generations g using (index_name)
        where index_name = $1 and number = $2 and state = 'building' and wanted is null
        "#,
        index,
        number,
    )
    .fetch_optional(executor)
    .await
}

/// Reads the ids of the next rows after one id, up to and with another, in order, each with the version of its row.
///
/// # Errors
/// The database's.
pub async fn scan(
    executor: impl PgExecutor<'_>,
    collection: &Collection,
    after: Option<Uuid>,
    last: Option<Uuid>,
    size: usize,
) -> sqlx::Result<Vec<(Uuid, i64)>> {
    let (id, table) = (collection.id, collection.table());
    let sql = format!("select {id}, version from {table} where {id} > $1 and {id} <= $2 order by {id} limit $3");
    sqlx::query_as(AssertSqlSafe(sql))
        .bind(after.unwrap_or(Uuid::nil()))
        .bind(last.unwrap_or(Uuid::max()))
        .bind(i64::try_from(size).unwrap_or(i64::MAX))
        .fetch_all(executor)
        .await
}

/// Returns the id of the last of the next `size` rows after one id, up to and with another. Absent if there are fewer.
///
/// # Errors
/// The database's.
pub async fn end(
    executor: impl PgExecutor<'_>,
    collection: &Collection,
    after: Option<Uuid>,
    last: Option<Uuid>,
    size: usize,
) -> sqlx::Result<Option<Uuid>> {
    let (id, table) = (collection.id, collection.table());
    let sql = format!("select {id} from {table} where {id} > $1 and {id} <= $2 order by {id} offset $3 limit 1");
    sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(after.unwrap_or(Uuid::nil()))
        .bind(last.unwrap_or(Uuid::max()))
        .bind(i64::try_from(size.saturating_sub(1)).unwrap_or(i64::MAX))
        .fetch_optional(executor)
        .await
}

/// Counts the rows of a collection.
///
/// # Errors
/// The database's.
pub async fn count(app: &App, collection: &Collection) -> anyhow::Result<i64> {
    let sql = format!("select count(*) from {}", collection.table());
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&app.db.sync).await?)
}

/// Reads some ids from all over a table, in order: all of a small one, and a few pages of a large one.
async fn sample(app: &App, collection: &Collection, total: i64) -> anyhow::Result<Vec<Uuid>> {
    let (id, table) = (collection.id, collection.table());
    let percent = (100.0 * SAMPLE / total.max(1) as f64).min(100.0);
    let sql = format!("select {id} from {table} tablesample system ($1) order by {id}");
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(percent as f32).fetch_all(&app.db.sync).await?)
}

/// Cuts sorted ids into at most so many parts of equal size, and returns where all but the last of them end.
#[must_use]
pub fn cut(ids: &[Uuid], parts: usize) -> Vec<Uuid> {
    let mut ends: Vec<Uuid> =
        (1..parts).filter_map(|part| ids.get((ids.len() * part / parts).checked_sub(1)?)).copied().collect();
    ends.dedup();
    ends
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_id_lies_in_exactly_one_range(
            mut numbers in proptest::collection::vec(1_u128.., 0..200),
            sampled in 1_usize..5,
            parts in 1_usize..20,
        ) {
            numbers.sort_unstable();
            numbers.dedup();
            let ids: Vec<Uuid> = numbers.iter().copied().map(Uuid::from_u128).collect();
            let seen: Vec<Uuid> = ids.iter().copied().step_by(sampled).collect();
            let ends = cut(&seen, parts);
            prop_assert!(ends.is_sorted() && ends.len() < parts);
            let lows = std::iter::once(Uuid::nil()).chain(ends.iter().copied());
            let ranges: Vec<(Uuid, Uuid)> = lows.zip(ends.iter().copied().chain(std::iter::once(Uuid::max()))).collect();
            for id in &ids {
                prop_assert_eq!(ranges.iter().filter(|(low, high)| low < id && id <= high).count(), 1);
            }
            // As even as the sample is.
            let rows = |(low, high): &(Uuid, Uuid)| seen.iter().filter(|id| low < *id && *id <= high).count();
            prop_assert!(ranges.iter().all(|range| rows(range) <= seen.len().div_ceil(parts)));
        }
    }

    #[test]
    fn few_rows_make_few_ranges() {
        let ids: Vec<Uuid> = (1..=4).map(Uuid::from_u128).collect();
        let ends = |rows: usize, parts| cut(&ids[..rows], parts).iter().map(Uuid::as_u128).collect::<Vec<_>>();
        assert_eq!(ends(0, 4), []);
        assert_eq!(ends(1, 4), []);
        assert_eq!(ends(2, 4), [1]);
        assert_eq!(ends(4, 1), []);
        assert_eq!(ends(4, 2), [2]);
        assert_eq!(ends(4, 4), [1, 2, 3]);
    }
}
