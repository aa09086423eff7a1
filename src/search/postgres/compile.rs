//! Compiles filters and orders into SQL. Expressions come from the program, values are bound.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use crate::search::field::{Field, FieldKind};
use crate::search::filter::{Bound, Filter, Test, Value};
use crate::search::query::{Key, Missing, Sort, SortKey, SortPosition};

type Sql = QueryBuilder<Postgres>;

const DAY_MS: i64 = 86_400_000;

pub(super) fn filter(sql: &mut Sql, tree: &Filter) {
    match tree {
        Filter::All(all) => join(sql, all, " and ", "true"),
        Filter::Any(any) => join(sql, any, " or ", "false"),
        Filter::Not(not) => {
            // A row without a value does not pass the test, so it passes the opposite.
            sql.push("(");
            filter(sql, not);
            sql.push(") is not true");
        }
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
        Test::Words(words) => {
            sql.push("(true");
            for word in words {
                let text = field.words.map_or(field.sql, |words| words.sql);
                sql.push(" and ").push(text).push(" like ").push_bind(format!("% {word}%"));
            }
            sql.push(")");
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
fn expression(sql: &mut Sql, key: &SortKey) {
    match key {
        SortKey::Score => {
            sql.push("found.score");
        }
        SortKey::Field(field) => {
            sql.push(field.sql);
            if field.is_text() && !matches!(field.kind, FieldKind::Id) {
                sql.push(r#" collate "C""#);
            }
        }
        SortKey::DayAmong(field, among) => {
            sql.push("(case when ");
            filter(sql, among);
            sql.push(" then ").push(field.sql).push(" end)");
        }
        SortKey::Steps(steps) => {
            sql.push("(0::bigint");
            for step in steps {
                sql.push(" + (case when ");
                filter(sql, step);
                sql.push(" then 1 else 0 end)");
            }
            sql.push(")");
        }
    }
}

/// What the values of a sort key are; none for a score.
fn kind(key: &SortKey) -> Option<FieldKind> {
    match key {
        SortKey::Score => None,
        SortKey::Field(field) | SortKey::DayAmong(field, _) => Some(field.kind),
        SortKey::Steps(_) => Some(FieldKind::Integer),
    }
}

/// Selects a sort key in the form of [`Key`].
pub(super) fn shown(sql: &mut Sql, sort: &Sort) {
    let (before, after) = match kind(&sort.key) {
        None => ("", ""),
        Some(FieldKind::Moment) => ("(extract(epoch from ", ") * 1000)::bigint"),
        Some(FieldKind::Day) => ("(", " - date '1970-01-01')::bigint"),
        Some(FieldKind::Money | FieldKind::Integer) => ("(", ")::bigint"),
        Some(FieldKind::Flag) => ("(", ")::boolean"),
        Some(_) => ("(", ")::text"),
    };
    sql.push(before);
    expression(sql, &sort.key);
    sql.push(after);
}

/// Reads what [`shown`] selected.
pub(super) fn key(row: &PgRow, column: &str, sort: &Sort) -> sqlx::Result<Key> {
    let Some(kind) = kind(&sort.key) else { return Ok(Key::Score(row.try_get(column)?)) };
    let key = match kind {
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
        expression(sql, &sort.key);
        sql.push(if sort.descending { " desc" } else { " asc" });
        sql.push(if sort.missing == Missing::First { " nulls first, " } else { " nulls last, " });
    }
    sql.push(id);
}

/// Writes the condition "comes after this position": later by the first key, or equal by it and later by the rest.
pub(super) fn after(sql: &mut Sql, id: &str, sorts: &[Sort], position: &SortPosition) {
    for (sort, key) in sorts.iter().zip(&position.keys) {
        let comparison = |sql: &mut Sql, comparison: &str| {
            expression(sql, &sort.key);
            sql.push(comparison);
        };
        sql.push("(");
        match (key, sort.missing) {
            // After what is missing comes only what is missing too, unless it comes first.
            (Key::Missing(()), Missing::Last) => comparison(sql, " is null and "),
            (Key::Missing(()), Missing::First) => {
                comparison(sql, " is not null or ");
                comparison(sql, " is null and ");
            }
            (key, missing) => {
                comparison(sql, if sort.descending { " < " } else { " > " });
                bind_key(sql, sort, key);
                if missing == Missing::Last {
                    sql.push(" or ");
                    comparison(sql, " is null");
                }
                sql.push(" or ");
                comparison(sql, " = ");
                bind_key(sql, sort, key);
                sql.push(" and ");
            }
        }
    }
    sql.push(id).push(" > ").push_bind(position.id);
    for _ in sorts {
        sql.push(")");
    }
}

fn bind_key(sql: &mut Sql, sort: &Sort, key: &Key) {
    let kind = kind(&sort.key);
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
