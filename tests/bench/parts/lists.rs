//! P1 and P2: lists through the API against the same searches sent straight to Elasticsearch.

use std::sync::Arc;

use anyhow::ensure;
use collections::clock::Clock;

use crate::harness::context::Context;
use crate::harness::http::client::{Call, Client, Endpoint};
use crate::harness::http::load::{CONNECTIONS, peak, steady};
use crate::harness::http::recording_proxy::RecordingProxy;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::median;
use crate::harness::server::{Server, command};

/// Requests per second of everyday work: what a hundred busy people ask.
const EVERYDAY: f64 = 50.0;
const CREDITORS: [&str; 5] =
    ["Northwind%20Bank", "Stadtwerke%20Musterstadt", "Acme%20Telecom", "Contoso%20Retail", "Globex%20Insurance"];

/// Requests of one kind, and what the server makes of them.
struct List {
    name: &'static str,
    /// To the server.
    ours: Arc<[Call]>,
    /// The same, as the server asks Elasticsearch.
    raw: Arc<[Call]>,
}

/// Filtered and sorted lists of 25 rows: the same filters over other values and days, so that no cache answers them all.
fn paths(name: &str) -> Vec<String> {
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

/// Makes the requests, and finds out through a second server and a proxy what is asked of Elasticsearch for each.
async fn translate(context: &Context<'_>) -> anyhow::Result<Vec<List>> {
    let proxy = RecordingProxy::open(context.sandbox.raw.clone()).await?;
    let mut tapped = command(context.sandbox, &["serve", "--only", "api"]);
    tapped.env("ELASTICSEARCH_URL", &proxy.url);
    let mut tapped = Server::run(tapped, context.log).await?;
    tapped.sign_in().await?;
    let mut client = Client::open(&tapped.endpoint).await?;
    let mut lists = Vec::new();
    for name in ["accounts", "customers"] {
        let mut list = (Vec::new(), Vec::new());
        for path in paths(name) {
            list.0.push(context.server()?.endpoint.get(&path)?);
            list.1.push(proxy.translate(&mut client, &tapped.endpoint.get(&path)?).await?);
        }
        lists.push(List { name, ours: list.0.into(), raw: list.1.into() });
    }
    drop(client);
    tapped.stop().await?;
    Ok(lists)
}

/// Measures the peak of either side (P1), then latencies at half of ours (P2).
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let (server, raw) = (&context.server()?.endpoint, &context.sandbox.raw);
    let mut measures = Vec::new();
    for list in translate(context).await? {
        check(server, &list).await?;
        for (endpoint, calls) in [(server, &list.ours), (raw, &list.raw)] {
            peak(endpoint, calls, context.round).await?;
        }
        let (mut ours, mut reference, mut work) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..context.rounds {
            let before = context.server()?.worked()?;
            let run = peak(server, &list.ours, context.round).await?;
            work.push((context.server()?.worked()? - before) * 1e6 / run.latencies.count() as f64);
            ours.push(run.rate);
            reference.push(peak(raw, &list.raw, context.round).await?.rate);
        }
        let half = median(&ours) / 2.0;
        measures.push(Measure {
            id: "P1",
            what: format!("list of {}, peak", list.name),
            customers: context.customers,
            unit: "req/s",
            ours,
            reference,
            goal: Goal::RatioAtLeast(0.9),
            how: format!(
                "{} different requests with filters, a sort and 25 rows, in turn, over {CONNECTIONS} connections (closed loop), {:?} a round. \
                 Reference: what the server asked Elasticsearch for each of them, captured between the two.",
                list.ours.len(),
                context.round
            ),
        });
        measures.push(Measure {
            id: "P1",
            what: format!("list of {}, the server's work", list.name),
            customers: context.customers,
            unit: "µs",
            ours: work,
            reference: vec![],
            goal: Goal::None,
            how: "Processor time of the server process by the request, during the rounds of the peak.".into(),
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
        customers: context.customers,
        unit: "ms",
        ours: ours.iter().map(|round| round.percentile(percent)).collect(),
        reference: reference.iter().map(|round| round.percentile(percent)).collect(),
        goal: Goal::AddsAtMost(goal),
        how: format!(
            "The same requests at {rate:.0} per second, half of our peak, on both sides (open loop), {:?} a round.",
            context.round
        ),
    };
    Ok(vec![row(50.0, 0.5), row(99.0, 2.0)])
}

/// Makes sure that the lists have rows and that Elasticsearch answers them: an empty list would be quick for the wrong reason.
async fn check(server: &Endpoint, list: &List) -> anyhow::Result<()> {
    let mut client = Client::open(server).await?;
    for call in list.ours.iter() {
        let answer: serde_json::Value = serde_json::from_slice(&client.read(call).await?)?;
        ensure!(answer["engine"] == "elasticsearch", "{} was not answered by Elasticsearch", call.uri());
        ensure!(answer["data"].as_array().is_some_and(|rows| !rows.is_empty()), "{} has no rows", call.uri());
    }
    Ok(())
}

/// Sends both lists at a light rate, as a server's everyday work.
pub async fn everyday(context: &Context<'_>) -> anyhow::Result<()> {
    let endpoint = &context.server()?.endpoint;
    let calls =
        ["accounts", "customers"].into_iter().flat_map(paths).map(|path| endpoint.get(&path)).collect::<anyhow::Result<_>>()?;
    steady(endpoint, &calls, EVERYDAY, context.round).await?;
    Ok(())
}
