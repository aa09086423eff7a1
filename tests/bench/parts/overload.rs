//! P18: lists while more are asked for than the server can answer.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::try_join_all;
use hyper::StatusCode;

use super::lists;
use crate::harness::context::Context;
use crate::harness::http::client::{Client, Endpoint, Request, connect_from};
use crate::harness::http::load::{on_own_thread, peak};
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::Latencies;

/// Requests offered, as a multiple of the peak, and the goodput that is wanted.
const LOADS: [(f64, f64); 2] = [(2.0, 0.95), (5.0, 0.9)];

/// Many more than the server works on at once (`HTTP_MAX_IN_FLIGHT`), so that it has to refuse.
const CONNECTIONS: usize = 1_500;

/// Answers of one load.
#[derive(Default)]
struct Answers {
    good: usize,
    refused: Vec<Duration>,
    span: Duration,
}

/// Measures the peak and both overloads in turn.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let server = &context.server()?.endpoint;
    let requests: Arc<[Request]> = lists::paths("accounts").iter().map(|path| server.get(path)).collect::<anyhow::Result<_>>()?;
    peak(server, &requests, context.round).await?;
    let mut measures = Vec::new();
    for (load, goal) in LOADS {
        let (mut ours, mut reference, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..context.rounds {
            let highest = peak(server, &requests, context.round).await?.rate;
            let answers = offer(server, &requests, load * highest, context.round).await?;
            ours.push(answers.good as f64 / answers.span.as_secs_f64());
            reference.push(highest);
            refusals.push(Latencies::new(answers.refused).percentile(50.0));
        }
        let how = format!(
            "{load} times the peak offered over {CONNECTIONS} connections, each of which sends at its own moments and skips those \
             that pass while it waits; {:?} a round. Reference: the peak.",
            context.round
        );
        measures.push(Measure {
            id: "P18",
            what: format!("lists answered at {load} times the peak"),
            unit: "req/s",
            ours,
            reference,
            goal: Goal::RatioAtLeast(goal),
            how: how.clone(),
            ..context.measure()
        });
        measures.push(Measure {
            id: "P18",
            what: format!("refusal at {load} times the peak, p50"),
            unit: "ms",
            ours: refusals,
            goal: Goal::AtMost(5.0),
            how: format!("{how} 0 where none was refused. The client shares the processors, and its wait counts."),
            ..context.measure()
        });
    }
    Ok(measures)
}

/// Offers so many requests a second.
async fn offer(endpoint: &Endpoint, requests: &Arc<[Request]>, rate: f64, span: Duration) -> anyhow::Result<Answers> {
    let (endpoint, requests) = (endpoint.clone(), Arc::clone(requests));
    on_own_thread(move || async move {
        let mut clients = Vec::with_capacity(CONNECTIONS);
        // One address may have a third of them.
        for last in (1..=4).cycle().take(CONNECTIONS) {
            let from = Ipv4Addr::new(127, 0, 0, last);
            clients.push(Client::on(connect_from(from, &endpoint).await?).await?);
        }
        let begin = Instant::now();
        let pause = Duration::from_secs_f64(CONNECTIONS as f64 / rate);
        let each = clients.into_iter().enumerate().map(|(number, client)| {
            let first = begin + pause.mul_f64(number as f64 / CONNECTIONS as f64);
            send(client, &requests, number, (first, pause, begin + span))
        });
        let mut all = Answers::default();
        for answers in try_join_all(each).await? {
            all.good += answers.good;
            all.refused.extend(answers.refused);
        }
        all.span = begin.elapsed();
        Ok(all)
    })
    .await
}

/// Sends a request at each of the moments `first`, `first + pause`, … before `end`.
async fn send(
    mut client: Client,
    requests: &[Request],
    number: usize,
    (first, pause, end): (Instant, Duration, Instant),
) -> anyhow::Result<Answers> {
    let (mut answers, mut due) = (Answers::default(), first);
    let mut requests = requests.iter().cycle().skip(number % requests.len());
    while let (true, Some(request)) = (due < end, requests.next()) {
        tokio::time::sleep_until(due.into()).await;
        let sent = Instant::now();
        let status = client.exchange(request).await?.status();
        ensure!(status == StatusCode::OK || status == StatusCode::SERVICE_UNAVAILABLE, "a list answered {status}");
        if status == StatusCode::OK {
            answers.good += 1
        } else {
            answers.refused.push(sent.elapsed())
        }
        while due <= Instant::now() {
            due += pause;
        }
    }
    Ok(answers)
}
