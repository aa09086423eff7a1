//! P4: the lists of P1 from the Postgres engine, against those from Elasticsearch.

use std::sync::Arc;

use anyhow::ensure;

use crate::harness::context::Context;
use crate::harness::http::client::{Client, Endpoint, Request};
use crate::harness::http::load::steady;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::{Server, command};
use crate::parts::lists;

/// Requests per second of a hundred busy users.
const RATE: f64 = 50.0;

/// Starts a second server that has no Elasticsearch, and asks both for the same lists.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let mut serve = command(context.sandbox, &["serve", "--only", "api"]);
    serve.env("ELASTICSEARCH_URL", "");
    let mut embedded = Server::run(serve, context.log).await?;
    embedded.sign_in().await?;
    let measures = compare(context, &embedded).await;
    embedded.stop().await?;
    measures
}

async fn compare(context: &Context<'_>, embedded: &Server) -> anyhow::Result<Vec<Measure>> {
    let elastic = &context.server()?.endpoint;
    let mut measures = Vec::new();
    for (name, paths) in ["accounts", "customers"].map(|name| (name, lists::paths(name))) {
        let requests =
            |endpoint: &Endpoint| paths.iter().map(|path| endpoint.get(path)).collect::<anyhow::Result<Arc<[Request]>>>();
        let (ours, reference) = (requests(&embedded.endpoint)?, requests(elastic)?);
        let answer = Client::open(&embedded.endpoint).await?.read(&ours[0]).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        ensure!(answer["engine"] == "postgres", "a list was not answered by Postgres");
        let (mut latencies, mut theirs) = (Vec::new(), Vec::new());
        steady(&embedded.endpoint, &ours, RATE, context.round).await?;
        for _ in 0..context.rounds {
            latencies.push(steady(&embedded.endpoint, &ours, RATE, context.round).await?.latencies);
            theirs.push(steady(elastic, &reference, RATE, context.round).await?.latencies);
        }
        measures.push(Measure {
            id: "P4",
            what: format!("list of {name} from Postgres, p95"),
            unit: "ms",
            ours: latencies.iter().map(|round| round.percentile(95.0)).collect(),
            reference: theirs.iter().map(|round| round.percentile(95.0)).collect(),
            goal: Goal::AtMost(150.0),
            how: format!(
                "The lists of P1 at {RATE} a second (open loop), {:?} a round, from a server without Elasticsearch. Reference: the \
                 server with it.",
                context.round
            ),
            ..context.measure()
        });
    }
    Ok(measures)
}
