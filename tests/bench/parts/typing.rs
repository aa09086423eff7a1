//! P3: search as you type, against a match query sent straight to Elasticsearch.

use anyhow::ensure;
use collections::collections::find;
use collections::search::index;
use collections::values::text::fold;
use serde_json::json;

use crate::harness::context::Context;
use crate::harness::http::client::{Client, Request};
use crate::harness::http::load::steady;
use crate::harness::report::measure::{Goal, Measure};

/// Names that are typed.
const NAMES: i64 = 1_000;

/// From so many letters on people look at what is found.
const FIRST: usize = 2;

/// Keystrokes per second of about twenty people who type at once.
const RATE: f64 = 50.0;

/// Sends every keystroke of the names at a fixed rate, to both sides in turn.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let (server, raw) = (&context.server()?.endpoint, &context.sandbox.raw);
    let Some(customers) = find("customers") else { anyhow::bail!("there are no customers") };
    let search = format!("/{}/_search", index::alias(&context.sandbox.elastic, customers));
    let mut keystrokes = typed(context).await?;
    ensure!(!keystrokes.is_empty(), "there are no names to type");
    // A round is shorter than all keystrokes: it takes them evenly.
    let wanted = (RATE * context.round.as_secs_f64()) as usize;
    let step = (keystrokes.len() / wanted).max(1);
    keystrokes = keystrokes.into_iter().step_by(step).collect();
    let ours: Vec<Request> = keystrokes
        .iter()
        .map(|typed| {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", typed).finish();
            server.get(&format!("/api/v1/customers?{query}&limit=10"))
        })
        .collect::<anyhow::Result<_>>()?;
    let reference: Vec<Request> = keystrokes
        .iter()
        .map(|typed| {
            let words = json!({ "match_bool_prefix": { "search.name": { "query": fold(typed), "operator": "and" } } });
            raw.post(&search, json!({ "size": 10, "query": words }).to_string())
        })
        .collect::<anyhow::Result<_>>()?;
    let mut client = Client::open(server).await?;
    let answer: serde_json::Value = serde_json::from_slice(&client.read(&ours[ours.len() / 2]).await?)?;
    ensure!(answer["engine"] == "elasticsearch", "a keystroke was not answered by Elasticsearch");
    let (ours, reference) = (ours.into(), reference.into());
    let (mut latencies, mut plain) = (Vec::new(), Vec::new());
    steady(server, &ours, RATE, context.round).await?;
    steady(raw, &reference, RATE, context.round).await?;
    for _ in 0..context.rounds {
        latencies.push(steady(server, &ours, RATE, context.round).await?.latencies);
        plain.push(steady(raw, &reference, RATE, context.round).await?.latencies);
    }
    let row = |percent: f64, goal| Measure {
        id: "P3",
        what: format!("search as you type, p{percent}"),
        unit: "ms",
        ours: latencies.iter().map(|round| round.percentile(percent)).collect(),
        reference: plain.iter().map(|round| round.percentile(percent)).collect(),
        goal,
        how: format!(
            "Keystrokes of {NAMES} names from {FIRST} letters on, {} of them at {RATE} a second (open loop), {:?} a round. \
             Reference: one `match_bool_prefix` query for the folded words.",
            keystrokes.len(),
            context.round
        ),
        ..context.measure()
    };
    Ok(vec![row(95.0, Goal::AtMost(40.0)), row(99.0, Goal::AtMost(80.0))])
}

/// What stands in the search field after each keystroke.
async fn typed(context: &Context<'_>) -> anyhow::Result<Vec<String>> {
    let sql = "select name from customers order by md5(id::text) limit $1";
    let names: Vec<String> = sqlx::query_scalar(sql).bind(NAMES).fetch_all(&context.sandbox.pool).await?;
    let beginnings = |name: &String| {
        let letters: Vec<char> = name.chars().collect();
        (FIRST..=letters.len()).map(|count| letters[..count].iter().collect::<String>()).collect::<Vec<_>>()
    };
    Ok(names.iter().flat_map(beginnings).collect())
}
