//! Compiles what several words of a phrase may be together, with one row for each of the words.

use sqlx::{Postgres, QueryBuilder};

use crate::search::phrase::spans::{PART, WHOLE};
use crate::search::phrase::{Meaning, Phrase, Span};
use crate::search::{Collection, Compares, Source};

type Sql = QueryBuilder<Postgres>;

/// Selects `id`, `word` and `score` for each way in which words match together, each behind a `union all`.
pub(super) fn ways(sql: &mut Sql, collection: &Collection, phrase: &Phrase) {
    for span in &phrase.spans {
        match &span.meaning {
            Meaning::Amount { fields, currency, amounts } => {
                begin(sql, span, collection.id, &collection.tables(), |sql| {
                    sql.push(format!("{PART:?}"));
                });
                any(sql, amounts, |sql, (minor, currencies)| {
                    sql.push("(");
                    any(sql, fields, |sql, field| {
                        sql.push(field.sql).push(" = ").push_bind(*minor);
                    });
                    let codes: Vec<String> = currencies.iter().map(ToString::to_string).collect();
                    sql.push(" and ").push(currency.sql).push(" = any(").push_bind(codes).push("))");
                });
                sql.push(")");
            }
            Meaning::Day { fields, days } => {
                begin(sql, span, collection.id, &collection.tables(), |sql| {
                    sql.push(format!("{PART:?}"));
                });
                any(sql, fields, |sql, field| {
                    sql.push(field.sql).push(" = any(").push_bind(days.clone()).push(")");
                });
                sql.push(")");
            }
            Meaning::Number(_) | Meaning::Phone(_) => collection.sources.iter().for_each(|source| lookup(sql, span, source)),
        }
    }
}

/// A number or phone in one source.
fn lookup(sql: &mut Sql, span: &Span, source: &Source) {
    match (&span.meaning, source.compares) {
        (Meaning::Number(number), Compares::Number { terms, whole }) => {
            begin(sql, span, source.id, source.from, |sql| {
                sql.push("case when ").push(terms).push("[1] = ").push_bind(number.clone());
                sql.push(format!(" then {WHOLE:?} else {PART:?} end"));
            });
            sql.push(terms).push(" @> ").push_bind(vec![number.clone()]).push(")");
            begin(sql, span, source.id, source.from, |sql| {
                sql.push(format!("{PART:?}"));
            });
            sql.push(whole).push(" like ").push_bind(format!("{number}%")).push(")");
        }
        (Meaning::Phone(phone), Compares::Contacts(alias)) => {
            begin(sql, span, source.id, source.from, |sql| {
                sql.push("case when ").push(alias).push(".normalized = ").push_bind(phone.whole.clone());
                sql.push(format!(" then {WHOLE:?} else {PART:?} end"));
            });
            sql.push(alias).push(".normalized = ").push_bind(phone.whole.clone()).push(" or ");
            sql.push(alias).push(".suffixes @> ").push_bind(vec![phone.ending.clone()]).push(")");
        }
        _ => {}
    }
}

/// Begins a way, up to its condition, which the caller closes with a bracket.
fn begin(sql: &mut Sql, span: &Span, id: &str, from: &str, score: impl FnOnce(&mut Sql)) {
    let words = &span.words;
    sql.push("\nunion all\nselect ").push(id).push(" as id, together.word, (");
    score(sql);
    sql.push(format!(")::float8 / {}.0 as score from ", words.len())).push(from);
    sql.push(format!(" cross join generate_series({}, {}) as together(word) where (", words.start, words.end.saturating_sub(1)));
}

fn any<T>(sql: &mut Sql, parts: &[T], one: impl Fn(&mut Sql, &T)) {
    sql.push("(");
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            sql.push(" or ");
        }
        one(sql, part);
    }
    sql.push(")");
}
