//! Asks both engines and compares their answers.

use reqwest::Method;
use serde_json::Value;

use super::generate::Query;
use crate::harness::client::{Answer, Client};

/// Most bytes of a record in a list; those of the tests have a few hundred.
const LARGEST_RECORD: usize = 64 << 10;
/// Hits of a phrase that are too few to be content with.
const FEW: u64 = 10;
/// Most bytes of a refusal.
const LARGEST_REFUSAL: usize = 64 << 10;

/// One caller of both engines, of Elasticsearch first.
pub(super) struct Servers([Client; 2]);

pub(super) enum Verdict {
    Refused,
    Empty,
    Alike,
    Different(String),
}

impl Verdict {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Empty => "empty",
            Self::Alike => "with hits",
            Self::Different(_) => "different",
        }
    }
}

impl Servers {
    pub(super) fn new(clients: [Client; 2]) -> Self {
        Self(clients)
    }

    /// The records of a page.
    pub(super) async fn records(&self, path: &str) -> Vec<Value> {
        let body = self.0[0].get(path).await.expect(200);
        body["data"].as_array().unwrap().clone()
    }

    /// Asks both, and for the page after the first with the cursor of the other engine if the order is no engine's own.
    pub(super) async fn compare(&self, query: &Query) -> Verdict {
        let answers = self.ask(&query.to_string()).await;
        let first = verdict(query, &answers);
        let Verdict::Alike = first else { return first };
        let cursors = [1, 0].map(|other: usize| answers[other].body["nextCursor"].as_str());
        let [Some(one), Some(other)] = cursors else { return first };
        if query.has_phrase() || query.parameters.iter().any(|(name, _)| ["page", "cursor"].contains(&name.as_str())) {
            return first;
        }
        let next = |cursor: &str| format!("{query}&cursor={cursor}");
        let (one, other) = (next(one), next(other));
        let (one, other) = tokio::join!(self.0[0].get(&one), self.0[1].get(&other));
        match verdict(query, &[one, other]) {
            Verdict::Different(difference) => Verdict::Different(format!("next page: {difference}")),
            _ => first,
        }
    }

    async fn ask(&self, path: &str) -> [Answer; 2] {
        let send = |at: usize| self.0[at].try_send(Method::GET, path, None);
        let (one, other) = tokio::join!(send(0), send(1));
        [one, other].map(|answer| answer.unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    /// Leaves out every parameter without which the answers still differ.
    pub(super) async fn shortest(&self, mut query: Query) -> (Query, String) {
        let mut difference = String::new();
        let mut at = 0;
        while at < query.parameters.len() {
            let mut shorter = query.clone();
            shorter.parameters.remove(at);
            match self.compare(&shorter).await {
                Verdict::Different(found) => (query, difference) = (shorter, found),
                _ => at += 1,
            }
        }
        if difference.is_empty()
            && let Verdict::Different(found) = self.compare(&query).await
        {
            difference = found;
        }
        (query, difference)
    }
}

/// Compares the answers of Elasticsearch and of Postgres.
fn verdict(query: &Query, answers: &[Answer; 2]) -> Verdict {
    let [one, other] = answers;
    let different = |what: &str, one: &dyn std::fmt::Debug, other: &dyn std::fmt::Debug| {
        Verdict::Different(format!("{what}: {one:.300?} from Elasticsearch, {other:.300?} from Postgres"))
    };
    if one.status != other.status || one.status >= 500 {
        return different("status", &(one.status, &one.body), &(other.status, &other.body));
    }
    if one.status != 200 {
        let told = |answer: &Answer| [&answer.body["code"], &answer.body["detail"], &answer.body["errors"]].map(Value::clone);
        if told(one) != told(other) || one.text.len() > LARGEST_REFUSAL {
            return different("refusal", &told(one), &told(other));
        }
        return Verdict::Refused;
    }
    let engines = [one, other].map(|answer| answer.body["engine"].as_str().unwrap());
    if engines != ["elasticsearch", "postgres"] {
        return different("engine", &engines[0], &engines[1]);
    }
    let limit = usize::try_from(one.body["limit"].as_u64().unwrap()).unwrap();
    let records = |answer: &Answer| answer.body["data"].as_array().unwrap().clone();
    let (mut ones, mut others) = (records(one), records(other));
    if ones.len() > limit || one.text.len() > (1 + limit) * LARGEST_RECORD {
        return different("size", &one.text.len(), &other.text.len());
    }
    // What is matched loosely is each engine's own.
    if query.has_phrase() && !query.is_strict {
        return if ones.is_empty() { Verdict::Empty } else { Verdict::Alike };
    }
    // So are the likely ones that follow few hits, if the best come first.
    let has_few = [one, other].iter().any(|answer| answer.body["total"].as_u64().is_none_or(|total| total < FEW));
    if query.is_scored() && has_few {
        return Verdict::Alike;
    }
    for member in ["total", "totalRelation", "totalPages", "page"] {
        if one.body[member] != other.body[member] {
            return different(member, &one.body[member], &other.body[member]);
        }
    }
    if one.body["nextCursor"].is_null() != other.body["nextCursor"].is_null() {
        return different("nextCursor", &one.body["nextCursor"], &other.body["nextCursor"]);
    }
    if query.is_scored() {
        if !one.body["nextCursor"].is_null() {
            return Verdict::Alike;
        }
        for records in [&mut ones, &mut others] {
            records.sort_by(|one, other| one["id"].as_str().cmp(&other["id"].as_str()));
        }
    }
    let ids = |records: &[Value]| records.iter().map(|record| record["id"].clone()).collect::<Vec<_>>();
    if ids(&ones) != ids(&others) {
        return different("ids", &ids(&ones), &ids(&others));
    }
    if let Some((one, other)) = ones.iter().zip(&others).find(|(one, other)| one != other) {
        return different("record", one, other);
    }
    if ones.is_empty() { Verdict::Empty } else { Verdict::Alike }
}
