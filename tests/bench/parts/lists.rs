//! P1 and P2: lists through the API against the same searches sent straight to Elasticsearch.

use std::sync::Arc;

use anyhow::ensure;
use collections::values::clock::Clock;

use crate::harness::context::Context;
use crate::harness::http::client::{Client, Endpoint, Request};
use crate::harness::http::load::{CONNECTIONS, peak, steady};
use crate::harness::http::recording_proxy::RecordingProxy;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::median;
use crate::harness::server::{Server, command};

/// Requests per second of a hundred busy users.
const LIGHT_RATE: f64 = 50.0;
const CREDITORS: [&str; 5] =
    ["Northwind%20Bank", "Stadtwerke%20Musterstadt", "Acme%20Telecom", "Contoso%20Retail", "Globex%20Insurance"];

/// The requests for one list, and the searches that the server makes of them.
struct List {
    name: &'static str,
    ours: Arc<[Request]>,
    raw: Arc<[Request]>,
}

/// Paths of filtered and sorted lists of 25 rows. Values and days vary, so that no cache answers all of them.
pub fn paths(name: &str) -> Vec<String> {
    let today = Clock::default().today();
    let days = |count: u64| today - chrono::Days::new(count);
    match name {
        "accounts" => (0..50)
            .map(|number| {
                let creditor = CREDITORS[number % CREDITORS.len()];
                let since = days(20 + 4 * number as u64);
                format!("/api/v1/accounts?status=open&creditor={creditor}&dueDate[gte]={since}&sort=dueDate&limit=25")
            })
            .collect(),
        _ => (0..50)
            .map(|number| {
                let kind = ["person", "company"][number % 2];
                let since = days(1_050 + 8 * number as u64);
                format!("/api/v1/customers?status=active&kind={kind}&createdAt[gte]={since}T00:00:00Z&sort=-createdAt&limit=25")
            })
            .collect(),
    }
}

/// Builds the requests, and records the searches that a second server makes of them through a proxy.
async fn record(context: &Context<'_>) -> anyhow::Result<Vec<List>> {
    let proxy = RecordingProxy::open(context.sandbox.raw.clone()).await?;
    let mut serve = command(context.sandbox, &["serve", "--only", "api"]);
    serve.env("ELASTICSEARCH_URL", &proxy.url);
    let mut recorded = Server::run(serve, context.log).await?;
    recorded.sign_in().await?;
    let (mut first, mut client) = (Client::open(&context.server()?.endpoint).await?, Client::open(&recorded.endpoint).await?);
    let mut lists = Vec::new();
    for name in ["accounts", "customers"] {
        let (mut ours, mut raw) = (Vec::new(), Vec::new());
        for path in paths(name) {
            let request = context.server()?.endpoint.get(&path)?;
            // A first search of an index that was just loaded may be so slow that the server sends a probe after it.
            first.read(&request).await?;
            ours.push(request);
            raw.push(proxy.record(&mut client, &recorded.endpoint.get(&path)?).await?);
        }
        lists.push(List { name, ours: ours.into(), raw: raw.into() });
    }
    drop(client);
    recorded.stop().await?;
    Ok(lists)
}

/// Measures the peak of both sides (P1), then latencies at half of ours (P2).
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let (server, raw) = (&context.server()?.endpoint, &context.sandbox.raw);
    let mut measures = Vec::new();
    for list in record(context).await? {
        check(server, &list).await?;
        for (endpoint, requests) in [(server, &list.ours), (raw, &list.raw)] {
            peak(endpoint, requests, context.round).await?;
        }
        let (mut ours, mut reference, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..context.rounds {
            let before = context.server()?.cpu_seconds()?;
            let run = peak(server, &list.ours, context.round).await?;
            cpu.push((context.server()?.cpu_seconds()? - before) * 1e6 / run.latencies.count() as f64);
            ours.push(run.rate);
            reference.push(peak(raw, &list.raw, context.round).await?.rate);
        }
        let half = median(&ours) / 2.0;
        measures.push(Measure {
            id: "P1",
            what: format!("list of {}, peak", list.name),
            unit: "req/s",
            ours,
            reference,
            goal: Goal::RatioAtLeast(0.9),
            how: format!(
                "{} different requests with filters, a sort and 25 rows, in turn, over {CONNECTIONS} connections (closed loop), \
                 {:?} a round. Reference: the searches that the server makes of them, recorded by a proxy.",
                list.ours.len(),
                context.round
            ),
            ..context.measure()
        });
        measures.push(Measure {
            id: "P1",
            what: format!("list of {}, processor time", list.name),
            unit: "µs",
            ours: cpu,
            how: "User and system time of the server process per request, during the rounds of the peak.".into(),
            ..context.measure()
        });
        measures.extend(latencies(context, &list, half).await?);
    }
    Ok(measures)
}

async fn latencies(context: &Context<'_>, list: &List, rate: f64) -> anyhow::Result<Vec<Measure>> {
    let (server, raw) = (&context.server()?.endpoint, &context.sandbox.raw);
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..context.rounds {
        ours.push(steady(server, &list.ours, rate, context.round).await?.latencies);
        reference.push(steady(raw, &list.raw, rate, context.round).await?.latencies);
    }
    let row = |percent: f64, goal| Measure {
        id: "P2",
        what: format!("list of {}, p{percent}", list.name),
        unit: "ms",
        ours: ours.iter().map(|round| round.percentile(percent)).collect(),
        reference: reference.iter().map(|round| round.percentile(percent)).collect(),
        goal: Goal::AddsAtMost(goal),
        how: format!(
            "The same requests at {rate:.0} per second, half of our peak, on both sides (open loop), {:?} a round.",
            context.round
        ),
        ..context.measure()
    };
    Ok(vec![row(50.0, 0.5), row(99.0, 2.0)])
}

/// Checks that every list has rows and was answered by Elasticsearch; an empty list would be fast for the wrong reason.
async fn check(server: &Endpoint, list: &List) -> anyhow::Result<()> {
    let mut client = Client::open(server).await?;
    for request in list.ours.iter() {
        let answer: serde_json::Value = serde_json::from_slice(&client.read(request).await?)?;
        ensure!(answer["engine"] == "elasticsearch", "{} was not answered by Elasticsearch", request.uri());
        ensure!(answer["data"].as_array().is_some_and(|rows| !rows.is_empty()), "{} has no rows", request.uri());
    }
    Ok(())
}

/// Sends both lists at a light rate for one round.
pub async fn light_load(context: &Context<'_>) -> anyhow::Result<()> {
    let endpoint = &context.server()?.endpoint;
    let requests =
        ["accounts", "customers"].into_iter().flat_map(paths).map(|path| endpoint.get(&path)).collect::<anyhow::Result<_>>()?;
    steady(endpoint, &requests, LIGHT_RATE, context.round).await?;
    Ok(())
}
