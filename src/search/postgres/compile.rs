//! Compiles filters and orders into SQL. Expressions come from the program, values are bound.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use crate::search::field::{Field, FieldKind};
use crate::search::filter::{Bound, Filter, Test, Value};
use crate::search::query::{Key, Sort, SortKey, SortPosition};

type Sql = QueryBuilder<Postgres>;

const DAY_MS: i64 = 86_400_000;

pub(super) fn filter(sql: &mut Sql, tree: &Filter) {
    match tree {
        Filter::All(all) => join(sql, all, " and ", "true"),
        Filter::Any(any) => join(sql, any, " or ", "false"),
        Filter::Not(not) => match &**not {
            // As partial indexes say it.
            Filter::Leaf(field, Test::Exists) if !matches!(field.kind, FieldKind::Tags) => {
                sql.push(field.sql).push(" is null");
            }
            not => {
                // A row without a value does not pass the test, so it passes the opposite.
                sql.push("(");
                filter(sql, not);
                sql.push(") is not true");
            }
        },
        Filter::Leaf(field, test) => leaf(sql, field, test),
    }
}

fn join(sql: &mut Sql, parts: &[Filter], word: &str, empty: &str) {
    sql.push("(");
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            sql.push(word);
        }
        filter(sql, part);
    }
    if parts.is_empty() {
        sql.push(empty);
    }
    sql.push(")");
}

fn leaf(sql: &mut Sql, field: &Field, test: &Test) {
    match test {
        Test::In(values) => {
            sql.push(field.sql);
            if matches!(field.kind, FieldKind::Tags) {
                sql.push(" && ").push_bind(texts(values));
                return;
            }
            for (number, value) in values.iter().enumerate() {
                sql.push(if number == 0 { " in (" } else { ", " });
                bind(sql, value);
            }
            sql.push(")");
        }
        Test::Range(lower, upper) => {
            sql.push("(true");
            for (bound, open, closed) in [(lower, " > ", " >= "), (upper, " < ", " <= ")] {
                if let Some(Bound { value, inclusive }) = bound {
                    sql.push(" and ").push(field.sql).push(if *inclusive { closed } else { open });
                    bind(sql, value);
                }
            }
            sql.push(")");
        }
        Test::Exists if matches!(field.kind, FieldKind::Tags) => {
            sql.push("cardinality(").push(field.sql).push(") > 0");
        }
        Test::Exists => {
            sql.push(field.sql).push(" is not null");
        }
        Test::Prefix(start) => {
            sql.push("starts_with(").push(field.sql).push(", ").push_bind(start.clone()).push(")");
        }
        Test::Suffix(end) => {
            sql.push(field.endings.map_or(field.sql, |endings| endings.sql)).push(" @> ").push_bind(vec![end.clone()]);
        }
    }
}

fn texts(values: &[Value]) -> Vec<String> {
    values.iter().filter_map(|value| if let Value::Text(text) = value { Some(text.clone()) } else { None }).collect()
}

fn bind(sql: &mut Sql, value: &Value) {
    match value {
        Value::Text(text) => sql.push_bind(text.clone()),
        Value::Integer(number) => sql.push_bind(*number),
        Value::Day(day) => sql.push_bind(*day),
        Value::Moment(moment) => sql.push_bind(*moment),
        Value::Flag(flag) => sql.push_bind(*flag),
        Value::Id(id) => sql.push_bind(*id),
    };
}

/// Writes what a sort key compares: text in byte order, as the index has it.
fn expression(sql: &mut Sql, key: SortKey) {
    let SortKey::Field(field) = key else {
        sql.push("found.score");
        return;
    };
    sql.push(field.sql);
    if field.is_text() && !matches!(field.kind, FieldKind::Id) {
        sql.push(r#" collate "C""#);
    }
}

/// Selects a sort key in the form of [`Key`].
pub(super) fn shown(sql: &mut Sql, sort: Sort) {
    match sort.key {
        SortKey::Score => {
            sql.push("found.score");
        }
        SortKey::Field(field) => {
            let (before, after) = match field.kind {
                FieldKind::Moment => ("(extract(epoch from ", ") * 1000)::bigint"),
                FieldKind::Day => ("(", " - date '1970-01-01')::bigint"),
                FieldKind::Money | FieldKind::Integer => ("(", ")::bigint"),
                FieldKind::Flag => ("(", ")::boolean"),
                _ => ("(", ")::text"),
            };
            sql.push(before).push(field.sql).push(after);
        }
    }
}

/// Reads what [`shown`] selected.
pub(super) fn key(row: &PgRow, column: &str, sort: Sort) -> sqlx::Result<Key> {
    let SortKey::Field(field) = sort.key else { return Ok(Key::Score(row.try_get(column)?)) };
    let key = match field.kind {
        FieldKind::Moment | FieldKind::Money | FieldKind::Integer => row.try_get::<Option<i64>, _>(column)?.map(Key::Integer),
        FieldKind::Day => row.try_get::<Option<i64>, _>(column)?.map(|days| Key::Integer(days * DAY_MS)),
        FieldKind::Flag => row.try_get::<Option<bool>, _>(column)?.map(Key::Flag),
        _ => row.try_get::<Option<String>, _>(column)?.map(Key::Text),
    };
    Ok(key.unwrap_or(Key::Missing(())))
}

pub(super) fn order(sql: &mut Sql, id: &str, sorts: &[Sort]) {
    sql.push("\norder by ");
    for sort in sorts {
        expression(sql, sort.key);
        sql.push(if sort.descending { " desc" } else { " asc" }).push(" nulls last, ");
    }
    sql.push(id);
}

/// Writes the condition "comes after this position": later by the first key, or equal by it and later by the rest.
pub(super) fn after(sql: &mut Sql, id: &str, sorts: &[Sort], position: &SortPosition) {
    for (sort, key) in sorts.iter().zip(&position.keys) {
        sql.push("(");
        if *key == Key::Missing(()) {
            // Nothing comes after what is missing but what is missing too.
            expression(sql, sort.key);
            sql.push(" is null and ");
            continue;
        }
        sql.push("(");
        expression(sql, sort.key);
        sql.push(if sort.descending { " < " } else { " > " });
        bind_key(sql, *sort, key);
        sql.push(" or ");
        expression(sql, sort.key);
        sql.push(" is null) or ");
        expression(sql, sort.key);
        sql.push(" = ");
        bind_key(sql, *sort, key);
        sql.push(" and ");
    }
    sql.push(id).push(" > ").push_bind(position.id);
    for _ in sorts {
        sql.push(")");
    }
}

fn bind_key(sql: &mut Sql, sort: Sort, key: &Key) {
    let kind = if let SortKey::Field(field) = sort.key { Some(field.kind) } else { None };
    match key {
        Key::Integer(ms) if matches!(kind, Some(FieldKind::Moment)) => {
            sql.push_bind(DateTime::<Utc>::from_timestamp_millis(*ms).unwrap_or_default())
        }
        Key::Integer(ms) if matches!(kind, Some(FieldKind::Day)) => {
            let days = TimeDelta::try_days(ms.div_euclid(DAY_MS)).unwrap_or_default();
            sql.push_bind(NaiveDate::default().checked_add_signed(days).unwrap_or_default())
        }
        Key::Integer(number) => sql.push_bind(*number),
        Key::Score(score) => sql.push_bind(*score),
        Key::Text(text) => sql.push_bind(text.clone()),
        Key::Flag(flag) => sql.push_bind(*flag),
        Key::Missing(()) => sql.push("null"),
    };
}
