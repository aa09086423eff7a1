//! Compiles a phrase into a query of ids with scores: looks each word up in trigram and array indexes, then joins the words.

use std::fmt::Display;

use sqlx::{PgConnection, Postgres, QueryBuilder, Row};

use super::spans;
use crate::search::phrase::score;
use crate::search::phrase::{Likeness, Phrase, Rarity, WORD, Word};
use crate::search::query::Matching;
use crate::search::{Collection, Compares, Source};

type Sql = QueryBuilder<Postgres>;

/// Rows that are counted of a word; one that more have is common in any case.
const MAX_COUNTED: i64 = 10_000;
/// What the similarity of trigrams counts for: half of it is about one typing error.
const SIMILARITY: f64 = 10.0;
/// No likeness counts for less.
const MIN_SCORE: f64 = 0.1;

/// What each way of a word to match scores.
#[derive(Clone, Copy)]
struct Scores {
    word: f64,
    variant: f64,
    nickname: f64,
    beginning: f64,
    elsewhere: f64,
    elsewhere_variant: f64,
    elsewhere_beginning: f64,
}

const STRICT: Scores = Scores {
    word: score::WORD,
    variant: score::VARIANT,
    nickname: score::NICKNAME,
    beginning: score::PREFIX,
    elsewhere: score::ELSEWHERE,
    elsewhere_variant: score::ELSEWHERE,
    elsewhere_beginning: score::ELSEWHERE,
};

impl Scores {
    fn loose(word: &Word, rarity: Rarity) -> Self {
        let beginning = Likeness::Beginning { letters: word.folded.chars().count(), lacking: 1 };
        Self {
            word: rarity.in_name(Likeness::Same).max(MIN_SCORE),
            variant: rarity.in_name(Likeness::Variant).max(MIN_SCORE),
            nickname: rarity.in_name(Likeness::Nickname).max(MIN_SCORE),
            beginning: rarity.in_name(beginning).max(MIN_SCORE),
            elsewhere: rarity.elsewhere(Likeness::Same).max(MIN_SCORE),
            elsewhere_variant: rarity.elsewhere(Likeness::Variant).max(MIN_SCORE),
            elsewhere_beginning: rarity.elsewhere(beginning).max(MIN_SCORE),
        }
    }
}

/// Selects `id` and `score` of what matches.
pub(super) fn found(sql: &mut Sql, collection: &Collection, phrase: &Phrase, matching: &Matching) {
    // Rounded, so that a sort position survives being written into a cursor.
    sql.push("\nselect id, round(max(score)::numeric, 4)::float8 as score from (");
    sql.push("\nselect id, sum(best) as score from (select id, word, max(score) as best from (");
    let mut ways = Ways { sql, is_first: true };
    // An address matches as a whole, or some of its words do.
    if phrase.email.is_none() || matches!(matching, Matching::Loose(_)) {
        for source in collection.sources {
            for number in 0..phrase.words.len() {
                ways.of_word(source, phrase, number, matching);
                if let Compares::Name(column) = source.compares {
                    ways.joined(source, column, phrase, number);
                }
            }
            if let (Compares::Name(column), Matching::Loose(loose)) = (source.compares, matching) {
                for (number, joined) in phrase.joined_inexact() {
                    let rarity = loose.rarities[number].min(loose.rarities[number + 1]);
                    let score = rarity.in_name(Likeness::Joined) + WORD;
                    ways.similar(source, column, joined, phrase.words.len() + number, score);
                }
            }
        }
    }
    if ways.is_first {
        sql.push("select null::uuid as id, 0 as word, 0::float8 as score where false");
    }
    spans::ways(sql, collection, phrase);
    sql.push("\n) as ways group by id, word) as words group by id having count(*) >= ");
    let enough = if let Matching::Loose(loose) = matching { loose.least } else { phrase.words.len() };
    sql.push_bind(i64::try_from(enough).unwrap_or(i64::MAX));
    for source in collection.sources {
        lookups(sql, source, phrase);
    }
    sql.push("\n) as found group by id");
}

/// Counts how many documents have each word.
pub(super) async fn rarities(
    connection: &mut PgConnection,
    collection: &Collection,
    phrase: &Phrase,
) -> sqlx::Result<Vec<Rarity>> {
    let mut sql = Sql::new("select");
    for word in &phrase.words {
        for in_names in [true, false] {
            sql.push(" array[0");
            for source in collection.sources {
                let (column, spellings): (_, Vec<&str>) = match source.compares {
                    Compares::Name(column) if in_names => (column, vec![&word.folded]),
                    Compares::Words(column) if !in_names => (column, word.elsewhere().collect()),
                    _ => continue,
                };
                sql.push(", (select count(*) from (select from ")
                    .push(source.from)
                    .push(" where ")
                    .push(column)
                    .push(" like any (");
                sql.push_bind(whole_words(&spellings)).push(format!(") limit {MAX_COUNTED}) as counted)"));
            }
            sql.push("]::bigint[],");
        }
    }
    // The planner's estimate; of a small table it may lack.
    let table = collection.table;
    let name = table.split(' ').next().unwrap_or_default();
    sql.push(format!(
        " greatest((select count(*) from (select from {table} limit {MAX_COUNTED}) as counted),
          (select reltuples::bigint from pg_class where oid = '{name}'::regclass))"
    ));
    let row = sql.build().fetch_one(connection).await?;
    let documents: i64 = row.try_get(2 * phrase.words.len())?;
    let count = |column: usize| -> sqlx::Result<u64> {
        let counts: Vec<i64> = row.try_get(column)?;
        Ok(counts.iter().sum::<i64>().unsigned_abs())
    };
    let words = 0..phrase.words.len();
    words.map(|word| Ok(Rarity::new(documents.unsigned_abs(), count(2 * word)?, count(2 * word + 1)?))).collect()
}

/// Patterns of texts that have one of these words.
fn whole_words<W: Display>(words: &[W]) -> Vec<String> {
    words.iter().map(|word| format!("% {word} %")).collect()
}

/// Pattern of e-mail addresses of which a part is the word, or begins with it if that is allowed.
fn part_of_address(word: &Word) -> String {
    let end = if word.is_inexact { "" } else { "($|[^[:alnum:]])" };
    format!("(^|[^[:alnum:]]){}{end}", word.folded)
}

fn begin(sql: &mut Sql, source: &Source) {
    sql.push("\nselect ").push(source.id).push(" as id, ");
}

/// The ways in which words match, joined by `union all`.
struct Ways<'a> {
    sql: &'a mut Sql,
    is_first: bool,
}

impl Ways<'_> {
    /// Begins a way; the expression of its score follows.
    fn begin(&mut self, source: &Source, number: usize) -> &mut Sql {
        if !std::mem::replace(&mut self.is_first, false) {
            self.sql.push("\nunion all");
        }
        begin(self.sql, source);
        self.sql.push(format!("{number} as word, "))
    }

    /// What is similar to a word.
    fn similar(&mut self, source: &Source, column: &str, word: &str, number: usize, score: f64) {
        let sql = self.begin(source, number);
        sql.push(format!("greatest({MIN_SCORE:?}, {score:?} - {SIMILARITY:?} * (1 - word_similarity("));
        sql.push_bind(word.to_owned()).push(", ").push(column).push(")))::float8 as score from ").push(source.from);
        sql.push(" where ").push_bind(word.to_owned()).push(" <% ").push(column);
    }

    /// What has the word and its neighbours written as one.
    fn joined(&mut self, source: &Source, column: &str, phrase: &Phrase, number: usize) {
        let joined: Vec<String> = phrase.joined_with(number).map(|joined| format!("% {joined} %")).collect();
        if !joined.is_empty() {
            let sql = self.begin(source, number);
            sql.push(format!("{:?}::float8 as score from ", score::JOINED)).push(source.from);
            sql.push(" where ").push(column).push(" like any (").push_bind(joined).push(")");
        }
    }

    fn of_word(&mut self, source: &Source, phrase: &Phrase, number: usize, matching: &Matching) {
        let word = &phrase.words[number];
        let scores = match matching {
            Matching::Strict => STRICT,
            Matching::Loose(loose) => Scores::loose(word, loose.rarities[number]),
        };
        let end = if word.is_inexact { "" } else { " " };
        match source.compares {
            Compares::Name(column) | Compares::Words(column) => {
                let is_name = matches!(source.compares, Compares::Name(_));
                let (whole, beginning) =
                    if is_name { (scores.word, scores.beginning) } else { (scores.elsewhere, scores.elsewhere_beginning) };
                let sql = self.begin(source, number);
                sql.push("case when ").push(column).push(" like ").push_bind(format!("% {} %", word.folded));
                sql.push(format!(" then {whole:?} else {beginning:?} end::float8 as score from "));
                sql.push(source.from).push(" where ").push(column).push(" like ").push_bind(format!("% {}{end}%", word.folded));
                if is_name {
                    for variant in &word.variants {
                        let sql = self.begin(source, number);
                        sql.push(format!("{:?}::float8 as score from ", scores.variant)).push(source.from);
                        sql.push(" where ").push(column).push(" like ").push_bind(format!("% {variant}{end}%"));
                    }
                    if !word.nicknames.is_empty() {
                        let sql = self.begin(source, number);
                        sql.push(format!("{:?}::float8 as score from ", scores.nickname)).push(source.from);
                        sql.push(" where ").push(column).push(" like any (").push_bind(whole_words(word.nicknames)).push(")");
                    }
                }
                if !is_name && !word.streets.is_empty() {
                    let sql = self.begin(source, number);
                    sql.push(format!("{:?}::float8 as score from ", scores.elsewhere_variant)).push(source.from);
                    sql.push(" where ").push(column).push(" like any (").push_bind(whole_words(&word.streets)).push(")");
                }
                if matches!(matching, Matching::Loose(_)) && word.may_be_mistyped() {
                    self.similar(source, column, &word.folded, number, whole);
                }
            }
            Compares::Number { whole: column, .. } => {
                let sql = self.begin(source, number);
                sql.push(format!("{:?}::float8 as score from ", scores.elsewhere)).push(source.from);
                let end = if word.is_inexact { "%" } else { "" };
                sql.push(" where ").push(column).push(" like ").push_bind(format!("{}{end}", word.folded));
            }
            Compares::Contacts(alias) => {
                let sql = self.begin(source, number);
                sql.push(format!("{:?}::float8 as score from ", scores.elsewhere)).push(source.from);
                sql.push(" where ").push(alias).push(".kind = 'email' and ").push(alias).push(".normalized ~ ");
                sql.push_bind(part_of_address(word));
            }
        }
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
        }
        Compares::Number { terms, whole } => {
            let Some(number) = &phrase.number else { return };
            begin(sql);
            sql.push("case when ").push(terms).push("[1] = ").push_bind(number.clone());
            sql.push(format!(" then {:?} else {:?} end::float8", score::IDENTITY, score::PART));
            from(sql);
            sql.push(terms).push(" @> ").push_bind(vec![number.clone()]);
            if phrase.is_literal {
                // The others are endings.
                sql.push(" and ").push(terms).push("[1] = ").push_bind(number.clone());
            } else {
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
                if !phrase.is_literal {
                    sql.push(" or ").push(alias).push(".suffixes @> ").push_bind(vec![phone.ending.clone()]);
                }
            }
            if let Some(email) = &phrase.email {
                let way = |sql: &mut Sql, score: f64| {
                    begin(sql);
                    sql.push(format!("{score:?}::float8"));
                    from(sql);
                    sql.push(alias).push(".kind = 'email'");
                };
                way(sql, score::IDENTITY);
                sql.push(" and ").push(alias).push(".normalized = ").push_bind(email.clone());
                if !phrase.is_literal {
                    let start = email.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
                    way(sql, score::PART);
                    sql.push(" and ").push(alias).push(".normalized like ").push_bind(format!("{start}%"));
                }
                way(sql, score::PREFIX);
                for word in &phrase.words {
                    sql.push(" and ").push(alias).push(".normalized ~ ").push_bind(part_of_address(word));
                }
            }
        }
        Compares::Words(_) => {}
    }
}
