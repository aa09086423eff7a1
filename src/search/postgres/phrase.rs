//! Compiles a phrase into a query of ids with scores: looks each word up in trigram and array indexes, then joins the words.

use sqlx::{Postgres, QueryBuilder};

use super::spans;
use crate::search::phrase::score;
use crate::search::phrase::{Phrase, Word};
use crate::search::query::Matching;
use crate::search::{Collection, Compares, Source};

type Sql = QueryBuilder<Postgres>;

/// Selects `id` and `score` of what matches.
pub(super) fn found(sql: &mut Sql, collection: &Collection, phrase: &Phrase, matching: Matching) {
    // Rounded, so that a sort position survives being written into a cursor.
    sql.push("\nselect id, round(max(score)::numeric, 4)::float8 as score from (");
    sql.push("\nselect id, sum(best) as score from (select id, word, max(score) as best from (");
    let mut first = true;
    if phrase.email.is_none() {
        for (number, word) in phrase.words.iter().enumerate() {
            for source in collection.sources {
                ways(sql, &mut first, source, word, number, matching);
            }
        }
    }
    if first {
        sql.push("select null::uuid as id, 0 as word, 0::float8 as score where false");
    }
    spans::ways(sql, collection, phrase);
    sql.push("\n) as ways group by id, word) as words group by id having count(*) >= ");
    let enough = if matching == Matching::Strict { phrase.words.len() } else { 1 };
    sql.push_bind(i64::try_from(enough).unwrap_or(i64::MAX));
    for source in collection.sources {
        lookups(sql, source, phrase);
    }
    sql.push("\n) as found group by id");
}

fn begin(sql: &mut Sql, source: &Source) {
    sql.push("\nselect ").push(source.id).push(" as id, ");
}

fn ways(sql: &mut Sql, first: &mut bool, source: &Source, word: &Word, number: usize, matching: Matching) {
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let mut way = |sql: &mut Sql, points: f64| {
        if !std::mem::replace(first, false) {
            sql.push("\nunion all");
        }
        begin(sql, source);
        sql.push(format!("{number} as word, {points:?}::float8 * "));
    };
    let from = |sql: &mut Sql| {
        sql.push(" as score from ").push(source.from).push(" where ");
    };
    match source.compares {
        Compares::Name(column) | Compares::Words(column) => {
            let is_name = matches!(source.compares, Compares::Name(_));
            let (whole, start) = if is_name { (score::WORD, score::PREFIX) } else { (score::ELSEWHERE, score::ELSEWHERE) };
            way(sql, 1.0);
            sql.push("case when ").push(column).push(" like ").push_bind(format!("% {} %", word.folded));
            sql.push(format!(" then {whole:?} else {start:?} end"));
            from(sql);
            let end = if word.is_inexact { "" } else { " " };
            sql.push(column).push(" like ").push_bind(format!("% {}{end}%", word.folded));
            for variant in word.variants.iter().filter(|_| is_name) {
                way(sql, score::VARIANT);
                sql.push("1");
                from(sql);
                sql.push(column).push(" like ").push_bind(format!("% {variant}{end}%"));
            }
            if matching == Matching::Loose && word.may_be_mistyped() {
                way(sql, if is_name { score::WORD } else { score::ELSEWHERE });
                sql.push("word_similarity(").push_bind(word.folded.clone()).push(", ").push(column).push(")");
                from(sql);
                sql.push_bind(word.folded.clone()).push(" <% ").push(column);
            }
        }
        Compares::Number { whole: Some(column), .. } => {
            way(sql, score::ELSEWHERE);
            sql.push("1");
            from(sql);
            let end = if word.is_inexact { "%" } else { "" };
            sql.push(column).push(" like ").push_bind(format!("{}{end}", word.folded));
        }
        Compares::Contacts(alias) if word.folded.len() >= 3 => {
            way(sql, score::ELSEWHERE);
            sql.push("1");
            from(sql);
            sql.push(alias).push(".kind = 'email' and ").push(alias).push(".normalized like ");
            sql.push_bind(format!("%{}%", word.folded));
        }
        Compares::Number { .. } | Compares::Contacts(_) => {}
    }
}

/// The phrase as an id, an address or a number.
fn lookups(sql: &mut Sql, source: &Source, phrase: &Phrase) {
    let begin = |sql: &mut Sql| {
        sql.push("\nunion all");
        begin(sql, source);
    };
    let from = |sql: &mut Sql| {
        sql.push(" as score from ").push(source.from).push(" where ");
    };
    match source.compares {
        Compares::Name(column) => {
            if let Some(id) = phrase.id {
                begin(sql);
                sql.push(format!("{:?}::float8", score::IDENTITY));
                from(sql);
                sql.push(source.id).push(" = ").push_bind(id);
            }
            #[expect(clippy::cast_precision_loss, reason = "a phrase has few words")]
            let all_words = score::WORD.mul_add(phrase.words.len() as f64, score::FULL);
            begin(sql);
            sql.push(format!("{all_words:?}::float8"));
            from(sql);
            for word in &phrase.words {
                sql.push(column).push(" like ").push_bind(format!("% {} %", word.folded)).push(" and ");
            }
            sql.push("unordered(").push(column).push(") = ").push_bind(phrase.full.clone());
            if let Some(joined) = phrase.joined.last().filter(|_| phrase.words.len() <= 3) {
                begin(sql);
                sql.push(format!("{:?}::float8", score::JOINED));
                from(sql);
                sql.push(column).push(" like ").push_bind(format!("% {joined} %"));
            }
        }
        Compares::Number { terms, whole } => {
            let Some(number) = &phrase.number else { return };
            begin(sql);
            sql.push("case when ").push(terms).push("[1] = ").push_bind(number.clone());
            sql.push(format!(" then {:?} else {:?} end::float8", score::IDENTITY, score::PART));
            from(sql);
            sql.push(terms).push(" @> ").push_bind(vec![number.clone()]);
            if let Some(whole) = whole {
                begin(sql);
                sql.push(format!("{:?}::float8", score::BEGINNING));
                from(sql);
                sql.push(whole).push(" like ").push_bind(format!("{number}%"));
            }
        }
        Compares::Contacts(alias) => {
            if let Some(phone) = &phrase.phone {
                begin(sql);
                sql.push("case when ").push(alias).push(".normalized = ").push_bind(phone.whole.clone());
                sql.push(format!(" then {:?} else {:?} end::float8", score::IDENTITY, score::PART));
                from(sql);
                sql.push(alias).push(".normalized = ").push_bind(phone.whole.clone());
                sql.push(" or ").push(alias).push(".suffixes @> ").push_bind(vec![phone.ending.clone()]);
            }
            if let Some(email) = &phrase.email {
                begin(sql);
                sql.push("case when ").push(alias).push(".normalized = ").push_bind(email.clone());
                sql.push(format!(" then {:?} else {:?} end::float8", score::IDENTITY, score::PART));
                from(sql);
                sql.push(alias).push(".kind = 'email' and ").push(alias).push(".normalized like ");
                sql.push_bind(format!("%{}%", email.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")));
            }
        }
        Compares::Words(_) => {}
    }
}
