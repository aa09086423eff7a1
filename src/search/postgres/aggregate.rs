//! Facets and aggregations in Postgres: a query for each, in the snapshot of the page.

use std::time::{Duration, Instant};

use sqlx::{PgConnection, Postgres, QueryBuilder, Row};

use super::{compile, matches};
use crate::search::Collection;
use crate::search::aggregate::{Aggregation, Bucket, Counted, EXACT_LIMIT, Group, Interval, Sums, complete};
use crate::search::field::{Field, FieldKind};
use crate::search::query::{Matching, Query};
use crate::values::money::Currency;
use crate::values::zone::Zone;

type Sql = QueryBuilder<Postgres>;

/// How long all of a list's may take: they read every row that matches, and the page is ready.
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// What Postgres says when a statement takes too long (`query_canceled`).
const CANCELED: &str = "57014";

/// Answers each; none for what is not answered in time.
pub(super) async fn count(
    connection: &mut PgConnection,
    collection: &Collection,
    query: &Query,
    matching: &Matching,
) -> sqlx::Result<Vec<Option<Counted>>> {
    let deadline = Instant::now() + TIME_LIMIT;
    let mut counted = Vec::with_capacity(query.aggregates.list.len());
    for aggregation in &query.aggregates.list {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        if left == 0 {
            break;
        }
        // A set statement takes no parameters.
        let limit = sqlx::AssertSqlSafe(format!("set local statement_timeout = {left}"));
        sqlx::raw_sql(limit).execute(&mut *connection).await?;
        match one(connection, collection, query, matching, aggregation).await {
            Ok(answer) => counted.push(Some(answer)),
            // The snapshot is lost with it.
            Err(error) if error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == CANCELED) => break,
            Err(error) => return Err(error),
        }
    }
    counted.resize(query.aggregates.list.len(), None);
    Ok(counted)
}

async fn one(
    connection: &mut PgConnection,
    collection: &Collection,
    query: &Query,
    matching: &Matching,
    aggregation: &Aggregation,
) -> sqlx::Result<Counted> {
    if let Group::Distinct(field) = aggregation.group {
        let mut sql = selection(collection, query, matching, aggregation, |sql| {
            sql.push("select count(distinct value) from (select ");
            value(sql, field);
            sql.push(" as value");
        });
        sql.push(") as found");
        let values: i64 = sql.build_query_scalar().fetch_one(connection).await?;
        return Ok(Counted::Distinct { values: values.unsigned_abs(), is_exact: true });
    }
    let mut sql = groups(collection, query, matching, aggregation);
    let (mut buckets, mut everything): (Vec<Bucket>, u64) = (Vec::new(), 0);
    for row in sql.build().fetch_all(connection).await? {
        everything = row.try_get::<i64, _>("everything")?.unsigned_abs();
        let name: String = row.try_get("bucket")?;
        if buckets.last().is_none_or(|last| last.value != name) {
            buckets.push(Bucket { value: name, ..Bucket::default() });
        }
        let Some(bucket) = buckets.last_mut() else { continue };
        bucket.count += row.try_get::<i64, _>("documents")?.unsigned_abs();
        let count = row.try_get::<i64, _>("counted")?.unsigned_abs();
        let currency: Option<Currency> = row.try_get("currency")?;
        if count > 0 && aggregation.stats.is_some_and(|stats| stats.currency.is_some() == currency.is_some()) {
            let exact = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.and_then(Sums::exact));
            bucket.sums.push(Sums { currency, count, sum: exact("sum")?, min: exact("min")?, max: exact("max")? });
        }
    }
    let buckets = arranged(&aggregation.group, buckets);
    let shown: u64 = buckets.iter().map(|bucket| bucket.count).sum();
    let other = if matches!(aggregation.group, Group::Conditions { .. }) { 0 } else { everything.saturating_sub(shown) };
    Ok(Counted::Groups { buckets, other, error_bound: 0 })
}

/// As the group says: with what nothing was counted for.
fn arranged(group: &Group, mut buckets: Vec<Bucket>) -> Vec<Bucket> {
    match group {
        Group::Terms { chosen, .. } => complete(&mut buckets, chosen),
        Group::Conditions { list, .. } => {
            let named = list.iter().enumerate().map(|(number, condition)| {
                let found = buckets.iter_mut().find(|bucket| bucket.value == number.to_string()).map(std::mem::take);
                Bucket { value: condition.name.clone(), ..found.unwrap_or_default() }
            });
            return named.collect();
        }
        Group::Whole | Group::Periods { .. } | Group::Distinct(_) => {}
    }
    buckets
}

/// A row for each bucket and currency; those of a bucket stand together.
fn groups(collection: &Collection, query: &Query, matching: &Matching, aggregation: &Aggregation) -> Sql {
    let limit = EXACT_LIMIT + 1;
    let (order, most) = match &aggregation.group {
        Group::Terms { size, .. } => ("total desc, bucket", *size),
        Group::Periods { interval, .. } => ("bucket", interval.most()),
        Group::Whole | Group::Conditions { .. } | Group::Distinct(_) => ("bucket", u32::MAX),
    };
    let mut sql = selection(collection, query, matching, aggregation, |sql| {
        sql.push("select * from (select *, (sum(documents) over ())::bigint as everything, dense_rank() over (order by ");
        sql.push(order);
        sql.push(
            ") as place from (select bucket, currency, count(*) as documents, sum(count(*)) over (partition by bucket) as total",
        );
        sql.push(", count(measure) as counted");
        for function in ["sum", "min", "max"] {
            sql.push(format!(", least(greatest({function}(measure), -{limit}), {limit})::bigint as {function}"));
        }
        sql.push("\nfrom (select (");
        bucket(sql, &aggregation.group);
        sql.push(r#")::text collate "C" as bucket, "#);
        let stats = aggregation.stats;
        sql.push(stats.and_then(|stats| stats.currency).map_or("null::text", |currency| currency.sql)).push(" as currency, ");
        sql.push(stats.map_or("null::bigint", |stats| stats.field.sql)).push(" as measure");
    });
    sql.push(") as measured where bucket is not null group by bucket, currency) as grouped) as placed where place <= ");
    sql.push_bind(i64::from(most));
    if let Group::Terms { chosen, .. } = &aggregation.group {
        sql.push(" or bucket = any(").push_bind(chosen.clone()).push(")");
    }
    sql.push(" order by place, currency");
    sql
}

/// The documents that are counted.
fn selection(
    collection: &Collection,
    query: &Query,
    matching: &Matching,
    aggregation: &Aggregation,
    columns: impl Fn(&mut Sql),
) -> Sql {
    matches(collection, query, matching, query.aggregates.filters_of(aggregation), columns)
}

fn bucket(sql: &mut Sql, group: &Group) {
    match group {
        Group::Whole => {
            sql.push("''");
        }
        Group::Terms { field, .. } | Group::Distinct(field) => value(sql, field),
        Group::Conditions { list, .. } => {
            sql.push("case");
            for (number, condition) in list.iter().enumerate() {
                sql.push(" when ");
                compile::filter(sql, &condition.filter);
                sql.push(format!(" then {number}"));
            }
            sql.push(" end");
        }
        Group::Periods { field, interval, zone } => {
            sql.push(format!("to_char(date_trunc('{}', ", interval.name())).push(field.sql);
            if matches!(field.kind, FieldKind::Moment) {
                sql.push(" at time zone ").push_bind(zone.to_string());
                // As a text, an offset would be read with its sign turned around (POSIX).
                if matches!(zone, Zone::Offset(_)) {
                    sql.push("::interval");
                }
            } else {
                sql.push("::timestamp");
            }
            sql.push(if *interval == Interval::Hour { "), 'YYYY-MM-DD\"T\"HH24:MI')" } else { "), 'YYYY-MM-DD')" });
        }
    }
}

/// A row of its own for each of a document's tags.
fn value(sql: &mut Sql, field: &Field) {
    if matches!(field.kind, FieldKind::Tags) {
        sql.push("unnest(array(select distinct unnest(").push(field.sql).push(")))");
    } else {
        sql.push(field.sql);
    }
}
