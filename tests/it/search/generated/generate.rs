//! Queries made of the fields of a list and the values of its records.

use collections::collections::{ALL, find};
use collections::search::{Collection, Field, FieldKind};
use serde_json::{Value, json};

use super::compare::Servers;
use crate::harness::dice::Dice;

/// Characters of a query; longer ones are refused before the list sees them.
const LONGEST: usize = 3_000;

/// A query of a list, in parts that can be left out.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// `/accounts`, or `/accounts/{id}/payments`.
    pub(super) path: String,
    /// Names and values; encoded ones of a mutated query.
    pub(super) parameters: Vec<(String, String)>,
    is_encoded: bool,
    /// Whether some record matches the phrase as it is typed, so that none is matched loosely. Only then do both engines promise the same.
    pub(super) is_strict: bool,
}

impl Query {
    /// A query as it came out of the mutator, as long as heads of requests may be.
    pub(super) fn mutated(path: &str, encoded: &str) -> Self {
        let encoded: String = encoded.chars().take(LONGEST).collect();
        let pair = |part: &str| part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let parameters = encoded.split('&').map(|part| pair(part).unwrap_or_else(|| (part.to_owned(), String::new()))).collect();
        Self { path: path.into(), parameters, is_encoded: true, is_strict: false }
    }

    /// The query with a slip in one parameter: a letter less, other case, an operator or a value of another, one too many or missing.
    pub(super) fn slipped(mut self, dice: &mut Dice) -> Self {
        self.is_strict = false;
        if self.parameters.is_empty() {
            return self;
        }
        let at = usize::try_from(dice.roll(self.parameters.len() as u64)).unwrap();
        let other = self.parameters[usize::try_from(dice.roll(self.parameters.len() as u64)).unwrap()].clone();
        let (name, value) = &mut self.parameters[at];
        match dice.roll(7) {
            0 => drop(value.pop()),
            1 => *value = value.to_uppercase(),
            2 => *value = format!("{value},{}", other.1),
            3 => {
                *name =
                    format!("{}[{}]", name.split('[').next().unwrap(), dice.pick(&["eq", "ne", "lt", "gte", "prefix", "exists"]))
            }
            4 => *value = value.chars().rev().collect(),
            5 => self.parameters.push(other),
            _ => drop(self.parameters.remove(at)),
        }
        self
    }

    pub(super) fn encoded(&self) -> String {
        if self.is_encoded {
            let pairs = self.parameters.iter().map(|(name, value)| format!("{name}={value}"));
            return pairs.collect::<Vec<_>>().join("&");
        }
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.parameters).finish()
    }

    /// The values of a parameter, decoded.
    fn values(&self, wanted: &[&str]) -> Vec<String> {
        let encoded = self.encoded();
        let pairs = form_urlencoded::parse(encoded.as_bytes()).into_owned();
        pairs.filter(|(name, _)| wanted.contains(&name.as_str())).map(|(_, value)| value).collect()
    }

    pub(super) fn has_phrase(&self) -> bool {
        !self.values(&["q", "search"]).is_empty()
    }

    /// Whether the order depends on how an engine scores.
    pub(super) fn is_scored(&self) -> bool {
        let sorts = self.values(&["sort", "sortBy"]);
        self.has_phrase()
            && (sorts.iter().all(|sort| sort.is_empty())
                || sorts.iter().any(|sort| sort.contains("score") || sort.contains("relevance")))
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}?{}", self.path, self.encoded())
    }
}

/// Records of every collection, from which values are taken.
pub(super) struct Samples(Vec<(&'static Collection, Vec<Value>)>);

impl Samples {
    pub(super) async fn read(servers: &Servers) -> Self {
        let mut samples = Vec::new();
        for collection in ALL {
            let records = servers.records(&format!("/{}?includeDeleted=true&limit=100&sort=-createdAt", collection.name)).await;
            samples.push((collection, records));
        }
        Self(samples)
    }

    /// A valid query that at least one record is likely to match.
    pub(super) fn query(&self, dice: &mut Dice) -> Query {
        let (collection, records) = &self.0[usize::try_from(dice.roll(self.0.len() as u64)).unwrap()];
        let record = one(records, dice);
        let mut parameters = Vec::new();
        let has_phrase = dice.roll(4) == 0;
        let filters = dice.pick(&[0, 1, 1, 2, 2, 3, 5]);
        let listed: Vec<&Field> = collection.fields.iter().filter(|field| field.is_listed()).collect();
        for _ in 0..filters {
            let field = dice.pick(&listed);
            // A phrase must not be left without a match by the filters.
            let condition = match has_phrase {
                true => passed(field, record, dice),
                false => Some(condition(field, record, one(records, dice), dice)),
            };
            parameters.extend(condition);
        }
        if !has_phrase && !parameters.is_empty() && dice.roll(3) == 0 {
            parameters = vec![("filter".to_owned(), tree(&parameters, dice).to_string())];
        }
        let phrase = has_phrase.then(|| phrase(record, dice)).flatten();
        parameters.extend(phrase.clone().map(|phrase| (dice.pick(&["q", "search"]).to_owned(), phrase)));
        parameters.extend(self.rest(collection, phrase.is_some(), !record["deletedAt"].is_null(), dice));
        let account = record["accountId"].as_str().filter(|_| collection.name == "payments" && dice.roll(4) == 0);
        let path = account.map_or(format!("/{}", collection.name), |account| format!("/accounts/{account}/payments"));
        Query { path, parameters, is_encoded: false, is_strict: phrase.is_some() }
    }

    /// Order, page and the parameters that every list has.
    fn rest(&self, collection: &Collection, has_phrase: bool, needs_deleted: bool, dice: &mut Dice) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let sortable: Vec<&str> = collection.fields.iter().filter(|field| field.sortable).map(|field| field.name).collect();
        let mut parameters = Vec::new();
        if dice.roll(4) > 0 {
            let keys = (0..=dice.roll(3)).map(|_| format!("{}{}", dice.pick(&["", "-"]), dice.pick(&sortable)));
            parameters.push(pair("sort", &keys.collect::<Vec<_>>().join(",")));
        }
        if needs_deleted || dice.roll(8) == 0 {
            parameters.push(pair("includeDeleted", "true"));
        }
        if dice.roll(2) == 0 {
            parameters.push(pair("limit", dice.pick(&["1", "3", "10", "25", "100"])));
        }
        if dice.roll(6) == 0 {
            parameters.push(pair("count", dice.pick(&["none", "exact", "bounded"])));
        }
        if has_phrase {
            return parameters;
        }
        if dice.roll(8) == 0 {
            parameters.push(pair("page", dice.pick(&["2", "3"])));
        }
        if dice.roll(8) == 0 {
            parameters.push(pair(dice.pick(&["from", "to"]), dice.pick(&["2023-05-01", "2026-01-31", "now-100d", "today-3y"])));
        }
        if dice.roll(12) == 0 {
            parameters.push(pair("tz", dice.pick(&["+02:00", "-08:00", "Z"])));
        }
        if collection.name == "accounts" && dice.roll(8) == 0 {
            parameters.push(pair("overdue", dice.pick(&["true", "false"])));
        }
        parameters
    }

    /// The names of all parameters of a query's list, for the mutator.
    pub(super) fn parameters(&self, query: &Query) -> Vec<String> {
        let collection = find(query.path.rsplit('/').next().unwrap()).unwrap();
        let listed = collection.fields.iter().filter(|field| field.is_listed());
        let filters =
            listed.flat_map(|field| field.operators().into_iter().map(|operator| format!("{}[{operator}]", field.name)));
        let common = "sort,sortBy,sortOrder,page,limit,cursor,count,filter,from,to,tz,includeDeleted,currency,q";
        filters.chain(common.split(',').cycle().take(40).map(str::to_owned)).collect()
    }
}

fn one<'a>(records: &'a [Value], dice: &mut Dice) -> &'a Value {
    &records[usize::try_from(dice.roll(records.len() as u64)).unwrap()]
}

/// A value of a record as a filter takes it; none if the record has none.
fn text(field: &Field, record: &Value, dice: &mut Dice) -> Option<String> {
    match &record[field.name] {
        Value::String(text) if text.contains(',') => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if !items.is_empty() => one(items, dice).as_str().map(str::to_owned),
        Value::Null | Value::Array(_) => None,
        other => Some(other.to_string()),
    }
}

/// A value that some field of this kind could have.
fn any(field: &Field) -> &'static str {
    match field.kind {
        FieldKind::Keyword(words) => words.known[0],
        FieldKind::Currency => "USD",
        FieldKind::Id => "01890000-0000-7000-8000-000000000000",
        FieldKind::Money => "250.5",
        FieldKind::Integer => "1",
        FieldKind::Day | FieldKind::Moment => "2025-06-30",
        FieldKind::Flag => "true",
        _ => "Müller",
    }
}

/// A condition that a record may or may not meet.
fn condition(field: &Field, record: &Value, other: &Value, dice: &mut Dice) -> (String, String) {
    let operator = dice.pick(&field.operators());
    let mut value = |record: &Value| text(field, record, dice).unwrap_or_else(|| any(field).to_owned());
    let (one, other) = (value(record), value(other));
    let value = match operator {
        "exists" => dice.pick(&["true", "false"]).to_owned(),
        "in" | "nin" => format!("{one},{other}"),
        "between" => match field.kind {
            FieldKind::Money | FieldKind::Integer if number(&one) > number(&other) => format!("{other},{one}"),
            FieldKind::Day | FieldKind::Moment if one > other => format!("{other},{one}"),
            _ => format!("{one},{other}"),
        },
        "prefix" => one.chars().take(usize::try_from(1 + dice.roll(5)).unwrap()).collect(),
        "suffix" => ending(&one, usize::try_from(4 + dice.roll(4)).unwrap()),
        _ => one,
    };
    (format!("{}[{operator}]", field.name), value)
}

/// Conditions of an address as a tree: alternatives, some of them the opposite.
fn tree(conditions: &[(String, String)], dice: &mut Dice) -> Value {
    let mut leaf = |(name, value): &(String, String)| {
        let (field, operator) = name.strip_suffix(']').and_then(|name| name.split_once('[')).unwrap();
        let value = match operator {
            "exists" => json!(value == "true"),
            "in" | "nin" | "between" => json!(value.split(',').collect::<Vec<_>>()),
            _ => json!(value),
        };
        let leaf = json!({ "field": field, "op": operator, "value": value });
        if dice.roll(4) == 0 { json!({ "not": leaf }) } else { leaf }
    };
    let leaves: Vec<Value> = conditions.iter().map(&mut leaf).collect();
    match leaves.split_first().unwrap() {
        (first, rest @ [_, ..]) if dice.roll(2) == 0 => json!({ "or": [first, { "and": rest }] }),
        _ => json!({ dice.pick(&["and", "or"]): leaves }),
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_default()
}

/// The last letters and digits.
fn ending(text: &str, length: usize) -> String {
    let letters: Vec<char> = text.chars().filter(|letter| letter.is_alphanumeric()).collect();
    letters[letters.len().saturating_sub(length)..].iter().collect()
}

/// A condition that the record meets.
fn passed(field: &Field, record: &Value, dice: &mut Dice) -> Option<(String, String)> {
    let value = text(field, record, dice)?;
    let is_ordered = matches!(field.kind, FieldKind::Day | FieldKind::Moment | FieldKind::Integer);
    let operators: &[&str] = if is_ordered { &["eq", "gte", "lte"] } else { &["eq", "in"] };
    // Money is read in a currency that another filter names.
    (!matches!(field.kind, FieldKind::Money)).then(|| match dice.roll(4) {
        0 => (format!("{}[exists]", field.name), "true".to_owned()),
        _ => (format!("{}[{}]", field.name, dice.pick(operators)), value),
    })
}

/// Something that is written in the record: words of its name, in any order or begun, or one of its numbers.
fn phrase(record: &Value, dice: &mut Dice) -> Option<String> {
    let member = |name: &str| record[name].as_str().map(str::to_owned);
    let name = member("name").or_else(|| member("customerName"));
    let number = member("accountNumber").or_else(|| member("reference")).or_else(|| member("externalId"));
    match dice.roll(5) {
        0 => number,
        1 => member("phone").or_else(|| member("email")).or(name),
        2 => {
            let name = name?;
            let mut words: Vec<&str> = name.split(' ').collect();
            words.reverse();
            Some(words.join(" "))
        }
        3 => {
            // Postgres looks for parts of e-mail addresses from three letters on.
            let letters = usize::try_from(3 + dice.roll(3)).unwrap();
            Some(name?.split(' ').map(|word| word.chars().take(letters).collect::<String>()).collect::<Vec<_>>().join(" "))
        }
        _ => name,
    }
}
