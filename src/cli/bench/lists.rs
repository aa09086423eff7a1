//! P1 and P2: lists through the API against the same searches sent straight to Elasticsearch.

use std::sync::Arc;

use anyhow::ensure;

use super::Scene;
use super::client::{Call, Link, Site};
use super::load::{LINKS, peak, steady};
use super::report::{Goal, Measure};
use super::server::{Server, command};
use super::statistics::median;
use super::tap::Tap;
use crate::values::clock::Clock;

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

/// Makes the requests, and finds out through a second server and a tap what is asked of Elasticsearch for each.
async fn translate(scene: &Scene<'_>) -> anyhow::Result<Vec<List>> {
    let tap = Tap::open(scene.stage.raw.clone()).await?;
    let mut tapped = command(scene.stage, &["serve", "--only", "api"])?;
    tapped.env("ELASTICSEARCH_URL", &tap.url);
    let mut tapped = Server::run(tapped, scene.log).await?;
    tapped.sign_in().await?;
    let mut link = Link::open(&tapped.site).await?;
    let mut lists = Vec::new();
    for name in ["accounts", "customers"] {
        let mut list = (Vec::new(), Vec::new());
        for path in paths(name) {
            list.0.push(scene.server()?.site.get(&path)?);
            list.1.push(tap.translate(&mut link, &tapped.site.get(&path)?).await?);
        }
        lists.push(List { name, ours: list.0.into(), raw: list.1.into() });
    }
    drop(link);
    tapped.stop().await?;
    Ok(lists)
}

/// Measures the peak of either side (P1), then latencies at half of ours (P2).
pub(super) async fn measure(scene: &Scene<'_>) -> anyhow::Result<Vec<Measure>> {
    let (server, raw) = (&scene.server()?.site, &scene.stage.raw);
    let mut measures = Vec::new();
    for list in translate(scene).await? {
        check(server, &list).await?;
        for (site, calls) in [(server, &list.ours), (raw, &list.raw)] {
            peak(site, calls, scene.round).await?;
        }
        let (mut ours, mut reference, mut work) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..scene.rounds {
            let before = scene.server()?.worked()?;
            let run = peak(server, &list.ours, scene.round).await?;
            work.push((scene.server()?.worked()? - before) * 1e6 / run.latencies.count() as f64);
            ours.push(run.rate);
            reference.push(peak(raw, &list.raw, scene.round).await?.rate);
        }
        let half = median(&ours) / 2.0;
        measures.push(Measure {
            id: "P1",
            what: format!("list of {}, peak", list.name),
            customers: scene.customers,
            unit: "req/s",
            ours,
            reference,
            goal: Goal::RatioAtLeast(0.9),
            how: format!(
                "{} different requests with filters, a sort and 25 rows, in turn, over {LINKS} connections (closed loop), {:?} a round. \
                 Reference: what the server asked Elasticsearch for each of them, captured between the two.",
                list.ours.len(),
                scene.round
            ),
        });
        measures.push(Measure {
            id: "P1",
            what: format!("list of {}, the server's work", list.name),
            customers: scene.customers,
            unit: "µs",
            ours: work,
            reference: vec![],
            goal: Goal::None,
            how: "Processor time of the server process by the request, during the rounds of the peak.".into(),
        });
        measures.extend(latencies(scene, &list, half).await?);
    }
    Ok(measures)
}

async fn latencies(scene: &Scene<'_>, list: &List, rate: f64) -> anyhow::Result<Vec<Measure>> {
    let (server, raw) = (&scene.server()?.site, &scene.stage.raw);
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..scene.rounds {
        ours.push(steady(server, &list.ours, rate, scene.round).await?.latencies);
        reference.push(steady(raw, &list.raw, rate, scene.round).await?.latencies);
    }
    let row = |percent: f64, goal| Measure {
        id: "P2",
        what: format!("list of {}, p{percent}", list.name),
        customers: scene.customers,
        unit: "ms",
        ours: ours.iter().map(|round| round.percentile(percent)).collect(),
        reference: reference.iter().map(|round| round.percentile(percent)).collect(),
        goal: Goal::AddsAtMost(goal),
        how: format!(
            "The same requests at {rate:.0} per second, half of our peak, on both sides (open loop), {:?} a round.",
            scene.round
        ),
    };
    Ok(vec![row(50.0, 0.5), row(99.0, 2.0)])
}

/// Makes sure that the lists have rows and that Elasticsearch answers them: an empty list would be quick for the wrong reason.
async fn check(server: &Site, list: &List) -> anyhow::Result<()> {
    let mut link = Link::open(server).await?;
    for call in list.ours.iter() {
        let answer: serde_json::Value = serde_json::from_slice(&link.read(call).await?)?;
        ensure!(answer["engine"] == "elasticsearch", "{} was not answered by Elasticsearch", call.uri());
        ensure!(answer["data"].as_array().is_some_and(|rows| !rows.is_empty()), "{} has no rows", call.uri());
    }
    Ok(())
}

/// Sends both lists at a light rate, as a server's everyday work.
pub(super) async fn everyday(scene: &Scene<'_>) -> anyhow::Result<()> {
    let site = &scene.server()?.site;
    let calls =
        ["accounts", "customers"].into_iter().flat_map(paths).map(|path| site.get(&path)).collect::<anyhow::Result<_>>()?;
    steady(site, &calls, EVERYDAY, scene.round).await?;
    Ok(())
}
