//! Postgres as an engine: the embedded default, and what answers while Elasticsearch is away.

use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Postgres as Pg, QueryBuilder, Row};
use uuid::Uuid;

use super::Collection;
use super::query::{Count, Hits, Page, Place, Query, Total};

mod compile;
mod phrase;

use phrase::Matching;

/// Postgres as an engine.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// Small and its own, so that searches cannot take the connections of writes.
    pub pool: PgPool,
}

impl Postgres {
    /// Answers a question about a collection, all of it from one snapshot.
    ///
    /// # Errors
    /// The database's.
    pub async fn answer(&self, collection: &Collection, query: &Query) -> sqlx::Result<Hits> {
        let mut snapshot = self.pool.begin_with("begin isolation level repeatable read read only").await?;
        let loose = matches!(&query.page, Page::After(place) if place.loose);
        if !loose {
            let hits = answer(&mut snapshot, collection, query, Matching::Strict).await?;
            let follows = matches!(query.page, Page::After(_));
            if follows || query.phrase.is_none() || hits.found_any {
                return Ok(hits.without_hint(query));
            }
        }
        sqlx::raw_sql("set local pg_trgm.word_similarity_threshold = 0.4").execute(&mut *snapshot).await?;
        Ok(answer(&mut snapshot, collection, query, Matching::Loose).await?.without_hint(query))
    }
}

struct Found {
    hits: Hits,
    found_any: bool,
}

impl Found {
    /// A phrase makes the engine look whether there is anything even if nobody asked for a count.
    fn without_hint(mut self, query: &Query) -> Hits {
        if query.count == Count::None {
            self.hits.total = None;
        }
        self.hits
    }
}

async fn answer(
    connection: &mut PgConnection,
    collection: &Collection,
    query: &Query,
    matching: Matching,
) -> sqlx::Result<Found> {
    let mut rows = page(collection, query, matching).build().fetch_all(&mut *connection).await?;
    let limit = query.limit as usize;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let ids = rows.iter().map(|row| row.try_get("id")).collect::<sqlx::Result<Vec<Uuid>>>()?;
    let next = match rows.last() {
        Some(last) if has_more => Some(place(query, last, matching)?),
        _ => None,
    };
    let total = total(connection, collection, query, matching, ids.len()).await?;
    let found_any = !ids.is_empty() || total.is_some_and(|total| total.value > 0);
    let documents = documents(connection, collection, &ids).await?;
    Ok(Found { hits: Hits { documents, total, next }, found_any })
}

fn page(collection: &Collection, query: &Query, matching: Matching) -> QueryBuilder<Pg> {
    let mut sql = selection(collection, query, matching, |sql| {
        sql.push("select ").push(collection.id).push(" as id");
        for (number, sort) in query.sort.iter().enumerate() {
            sql.push(", ");
            compile::shown(sql, *sort);
            sql.push(format!(" as k{number}"));
        }
    });
    if let Page::After(place) = &query.page {
        sql.push("\nand ");
        compile::after(&mut sql, collection.id, &query.sort, place);
    }
    compile::order(&mut sql, collection.id, &query.sort);
    // One more than is shown says whether another page follows.
    sql.push("\nlimit ").push_bind(i64::from(query.limit) + 1);
    sql.push("\noffset ").push_bind(i64::try_from(query.offset()).unwrap_or(i64::MAX));
    sql
}

/// Everything but order and page: what the page and the count have in common.
fn selection(
    collection: &Collection,
    query: &Query,
    matching: Matching,
    columns: impl FnOnce(&mut QueryBuilder<Pg>),
) -> QueryBuilder<Pg> {
    let mut sql = QueryBuilder::new("");
    if let Some(phrase) = &query.phrase {
        sql.push("with found as materialized (");
        phrase::found(&mut sql, collection, phrase, matching);
        sql.push(")\n");
    }
    columns(&mut sql);
    sql.push("\nfrom ").push(collection.from);
    if query.phrase.is_some() {
        sql.push(" join found on found.id = ").push(collection.id);
    }
    sql.push("\nwhere ");
    compile::filter(&mut sql, &query.filter);
    sql
}

async fn total(
    connection: &mut PgConnection,
    collection: &Collection,
    query: &Query,
    matching: Matching,
    shown: usize,
) -> sqlx::Result<Option<Total>> {
    let bound = match query.count {
        Count::None if query.phrase.is_some() && shown == 0 => Some(1),
        Count::None => return Ok(None),
        Count::Bounded(bound) => Some(i64::from(bound)),
        Count::Exact => None,
    };
    let mut sql = selection(collection, query, matching, |sql| {
        sql.push("select count(*) from (select 1");
    });
    if let Some(bound) = bound {
        sql.push("\nlimit ").push_bind(bound + 1);
    }
    sql.push(") as counted");
    let counted: i64 = sql.build_query_scalar().fetch_one(connection).await?;
    let at_least = bound.is_some_and(|bound| counted > bound);
    let value = if at_least { bound.unwrap_or(counted) } else { counted };
    Ok(Some(Total { value: u64::try_from(value).unwrap_or(0), at_least }))
}

fn place(query: &Query, row: &PgRow, matching: Matching) -> sqlx::Result<Place> {
    let keys = query.sort.iter().enumerate().map(|(number, sort)| compile::key(row, &format!("k{number}"), *sort));
    Ok(Place { keys: keys.collect::<sqlx::Result<_>>()?, id: row.try_get("id")?, loose: matching == Matching::Loose })
}

/// Builds the documents as the index would hold them, in the order of the ids.
async fn documents(connection: &mut PgConnection, collection: &Collection, ids: &[Uuid]) -> sqlx::Result<Vec<Box<RawValue>>> {
    let mut loaded = (collection.load)(connection, ids).await?;
    loaded.sort_by_key(|document| ids.iter().position(|id| *id == document.id));
    loaded
        .into_iter()
        .map(|document| serde_json::from_slice(&document.source).map_err(|error| sqlx::Error::Decode(error.into())))
        .collect()
}
