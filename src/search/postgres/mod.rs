//! Searches in Postgres: the default without Elasticsearch, and the fallback while it is down.

use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres as Pg, QueryBuilder, Row, Transaction};
use uuid::Uuid;

use super::Collection;
use super::explain::LEAST_SIMILARITY;
use super::filter::Filter;
use super::phrase::{Phrase, Rarity};
use super::query::{Count, Hits, Matching, PAGE_BYTES, Page, Query, SortPosition, Total, page_too_large};
use super::ranking::{self, Finder};
use crate::error::{Error, Result};

mod aggregate;
mod compile;
mod phrase;
mod spans;

/// Documents that one statement loads: a page of them is larger than most, and its rows take little memory.
const LOADED_AT_ONCE: usize = 100;

/// Answers searches from the tables.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    /// Small and its own, so that searches cannot take the connections of writes.
    pub(super) pool: PgPool,
}

impl Postgres {
    /// Answers from one snapshot.
    pub(super) async fn search(&self, collection: &Collection, query: &Query) -> Result<Hits> {
        search_snapshot(&mut *snapshot(&self.pool).await?, collection, query).await
    }
}

/// A transaction in which all searches see the same.
pub(super) async fn snapshot(pool: &PgPool) -> sqlx::Result<Transaction<'static, Pg>> {
    pool.begin_with("begin isolation level repeatable read read only").await
}

/// Answers from a snapshot.
pub(super) async fn search_snapshot(snapshot: &mut PgConnection, collection: &Collection, query: &Query) -> Result<Hits> {
    ranking::search(&mut Searched { connection: snapshot, collection }, query).await
}

/// Finds the ids of all records that a filter selects, in their order; an id more than `most` if there are more.
pub async fn matching(
    connection: &mut PgConnection,
    collection: &Collection,
    filter: &Filter,
    most: u32,
) -> sqlx::Result<Vec<Uuid>> {
    let mut sql = QueryBuilder::new("select ");
    sql.push(collection.id).push(" as id\nfrom ").push(collection.tables()).push("\nwhere ");
    compile::filter(&mut sql, filter);
    sql.push("\norder by id\nlimit ").push_bind(i64::from(most) + 1);
    sql.build_query_scalar::<Uuid>().fetch(connection).try_collect().await
}

/// The tables that a search asks.
struct Searched<'a> {
    connection: &'a mut PgConnection,
    collection: &'a Collection,
}

impl Finder for Searched<'_> {
    type Error = Error;

    async fn find(&mut self, query: &Query, matching: &Matching) -> Result<Hits> {
        let mut hits = ask(self.connection, self.collection, query, matching).await?;
        if !query.aggregates.is_empty() {
            hits.counted = aggregate::count(self.connection, self.collection, query, matching).await?;
        }
        Ok(hits)
    }

    async fn rarities(&mut self, phrase: &Phrase) -> Result<Vec<Rarity>> {
        Ok(phrase::rarities(self.connection, self.collection, phrase).await?)
    }
}

async fn ask(connection: &mut PgConnection, collection: &Collection, query: &Query, matching: &Matching) -> Result<Hits> {
    if matches!(matching, Matching::Loose(_)) {
        let threshold = format!("set local pg_trgm.word_similarity_threshold = {LEAST_SIMILARITY}");
        sqlx::raw_sql(AssertSqlSafe(threshold)).execute(&mut *connection).await?;
    }
    let mut rows = page(collection, query, matching).build().fetch_all(&mut *connection).await?;
    let has_more = rows.len() > query.limit as usize;
    rows.truncate(query.limit as usize);
    let ids = rows.iter().map(|row| row.try_get("id")).collect::<sqlx::Result<Vec<Uuid>>>()?;
    let next = rows.last().filter(|_| has_more).map(|last| position(query, last, matching)).transpose()?;
    let total = match query.count {
        Count::None if query.phrase.is_none() => None,
        Count::None if !has_more && query.offset() == 0 => Some(Total { value: ids.len() as u64, at_least: false }),
        Count::None => Some(total(connection, collection, query, matching, Some(ranking::FEW)).await?),
        Count::Bounded(bound) => Some(total(connection, collection, query, matching, Some(bound.into())).await?),
        Count::Exact => Some(total(connection, collection, query, matching, None).await?),
    };
    let documents = documents(connection, collection, &ids).await?;
    Ok(Hits { documents, total, next, counted: Vec::new() })
}

fn page(collection: &Collection, query: &Query, matching: &Matching) -> QueryBuilder<Pg> {
    let mut sql = selection(collection, query, matching, |sql| {
        sql.push("select ").push(collection.id).push(" as id");
        for (number, sort) in query.sort.iter().enumerate() {
            sql.push(", ");
            compile::shown(sql, sort);
            sql.push(format!(" as k{number}"));
        }
    });
    if let Page::After(position) = &query.page {
        sql.push("\nand ");
        compile::after(&mut sql, collection.id, &query.sort, position);
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
    matching: &Matching,
    columns: impl Fn(&mut QueryBuilder<Pg>),
) -> QueryBuilder<Pg> {
    matches(collection, query, matching, query.aggregates.choices.iter().map(|choice| &choice.filter), columns)
}

/// As [`selection`], with some of the choices.
fn matches<'a>(
    collection: &Collection,
    query: &Query,
    matching: &Matching,
    choices: impl Iterator<Item = &'a Filter> + Clone,
    columns: impl Fn(&mut QueryBuilder<Pg>),
) -> QueryBuilder<Pg> {
    let conditions = |sql: &mut QueryBuilder<Pg>| {
        compile::filter(sql, &query.filter);
        for choice in choices.clone() {
            sql.push("\nand ");
            compile::filter(sql, choice);
        }
    };
    // Written once before, to see which tables it needs. Postgres would look up a row of each other one for every row that it counts.
    let mut needed = QueryBuilder::new("");
    columns(&mut needed);
    conditions(&mut needed);
    let from = collection.tables_for(needed.sql().as_str());
    let mut sql = QueryBuilder::new("");
    if let Some(phrase) = &query.phrase {
        sql.push("with found as materialized (");
        phrase::found(&mut sql, collection, phrase, matching);
        sql.push(")\n");
    }
    columns(&mut sql);
    sql.push("\nfrom ").push(from);
    if query.phrase.is_some() {
        sql.push(" join found on found.id = ").push(collection.id);
    }
    sql.push("\nwhere ");
    conditions(&mut sql);
    sql
}

/// Counts what matches, up to a bound.
async fn total(
    connection: &mut PgConnection,
    collection: &Collection,
    query: &Query,
    matching: &Matching,
    bound: Option<u64>,
) -> sqlx::Result<Total> {
    let bound = bound.map(|bound| i64::try_from(bound).unwrap_or(i64::MAX - 1));
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
    Ok(Total { value: u64::try_from(value).unwrap_or(0), at_least })
}

fn position(query: &Query, row: &PgRow, matching: &Matching) -> sqlx::Result<SortPosition> {
    let keys = query.sort.iter().enumerate().map(|(number, sort)| compile::key(row, &format!("k{number}"), sort));
    Ok(SortPosition { keys: keys.collect::<sqlx::Result<_>>()?, id: row.try_get("id")?, loose: matching.loose() })
}

/// Builds the documents as the index would hold them, in the order of the ids.
async fn documents(connection: &mut PgConnection, collection: &Collection, ids: &[Uuid]) -> Result<Vec<Bytes>> {
    let (mut documents, mut bytes) = (Vec::with_capacity(ids.len()), 0);
    for ids in ids.chunks(LOADED_AT_ONCE) {
        let mut loaded = (collection.load)(connection, ids).await?;
        loaded.sort_by_key(|document| ids.iter().position(|id| *id == document.id));
        bytes += loaded.iter().map(|document| document.source.len()).sum::<usize>();
        if bytes > PAGE_BYTES {
            return Err(page_too_large());
        }
        documents.extend(loaded.into_iter().map(|document| Bytes::from(document.source)));
    }
    Ok(documents)
}
