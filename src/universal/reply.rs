//! Writes the groups. Records pass through as the list of their collection shows them, each with why it was found.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::ask::{Answered, Hits};
use super::wanted::Wanted;
use crate::api::{Authors, RecordWriter, Reply, Request, paging};
use crate::error::{Error, Result};
use crate::features::accounts::Account;
use crate::features::activities::Activity;
use crate::features::customers::Customer;
use crate::features::payments::Payment;
use crate::features::resource::ViewOf;
use crate::search::document;
use crate::search::query::Total;
use crate::values::clock::milliseconds;

/// What the answer is: a group for each collection, the best first.
#[derive(JsonSchema)]
#[schemars(rename = "Found", rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a schema; `write` hands the records through as they are stored")]
pub(super) struct Groups {
    groups: Vec<Group>,
    /// What to type instead, if the text asks for nothing.
    #[schemars(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The text without its typing errors: the words of the best hit, or the nearest that there are if nothing was found.
    #[schemars(skip_serializing_if = "Option::is_none")]
    did_you_mean: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename = "FoundGroup")]
#[expect(dead_code, reason = "it is a schema; `write` hands the records through as they are stored")]
struct Group {
    #[schemars(rename = "type")]
    collection: String,
    data: Vec<AnyRecord>,
    #[schemars(flatten)]
    end: Option<GroupEnd>,
    /// Why this collection has not answered.
    #[schemars(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "it is a schema; `write` hands the records through as they are stored")]
enum AnyRecord {
    Customer(ViewOf<Customer>),
    Account(ViewOf<Account>),
    Payment(ViewOf<Payment>),
    Activity(ViewOf<Activity>),
}

/// What a client may know of a failure.
#[derive(JsonSchema, Serialize)]
struct Failure {
    code: &'static str,
    detail: String,
}

/// What follows the records of a group.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupEnd {
    total: Option<u64>,
    total_relation: Option<&'static str>,
    engine: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
    #[serde(serialize_with = "milliseconds")]
    indexed_at: DateTime<Utc>,
    lag_ms: u64,
}

pub(super) async fn write(request: &Request, wanted: &Wanted, groups: &[Answered<'_>], meant: Option<String>) -> Result<Reply> {
    let mut body = br#"{"groups":["#.to_vec();
    for (at, group) in groups.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(format!(r#"{{"type":"{}","data":["#, group.collection.name).as_bytes());
        let end = match &group.hits {
            Ok(hits) => {
                records(request, group, hits, &mut body).await?;
                serde_json::to_vec(&end(request, hits))
            }
            Err(error) => serde_json::to_vec(&json!({ "total": null, "totalRelation": null, "error": failure(error) })),
        };
        body.extend_from_slice(b"],");
        body.extend_from_slice(&end.map_err(Error::internal)?[1..]);
    }
    body.push(b']');
    if let Some(hint) = wanted.hint {
        body.extend_from_slice(format!(r#","hint":{}"#, json!(hint)).as_bytes());
    }
    if let Some(meant) = meant {
        body.extend_from_slice(format!(r#","didYouMean":{}"#, json!([meant])).as_bytes());
    }
    body.push(b'}');
    Ok(Reply::json(body).with(paging::READ_SOURCE, &engines(groups)))
}

async fn records(request: &Request, group: &Answered<'_>, hits: &Hits, body: &mut Vec<u8>) -> Result<()> {
    let records = hits.documents.iter().map(|(document, _)| document::record(document));
    let authors = Authors::of(&request.app, &request.app.db.read, records.clone()).await?;
    let writer =
        RecordWriter::open(&request.app, request.context.disclosure(), group.collection, group.shape, authors, records.clone())
            .await?;
    for (at, (record, (_, explanation))) in records.zip(&hits.documents).enumerate() {
        if at > 0 {
            body.push(b',');
        }
        writer.write_found(record, explanation, body)?;
    }
    Ok(())
}

fn end(request: &Request, hits: &Hits) -> GroupEnd {
    let answer = &hits.answer;
    let total = answer.hits.total;
    GroupEnd {
        total: total.map(|total| total.value),
        total_relation: total.map(Total::relation),
        engine: answer.engine.name(),
        degraded: answer.degraded,
        stale: answer.lag >= request.app.config.search.stale_after,
        indexed_at: answer.indexed_at,
        lag_ms: answer.lag_ms(request.app.clock.now()),
    }
}

fn failure(error: &Error) -> Failure {
    Failure { code: error.code(), detail: error.to_string() }
}

/// The engines that answered, each once.
fn engines(groups: &[Answered<'_>]) -> String {
    let mut engines: Vec<&str> = groups.iter().filter_map(|group| Some(group.hits.as_ref().ok()?.answer.engine.name())).collect();
    engines.sort_unstable();
    engines.dedup();
    engines.join(", ")
}
