//! P11: one record by id through the API against one prepared statement sent straight to Postgres.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use secrecy::ExposeSecret;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::harness::context::Context;
use crate::harness::http::client::{Endpoint, Request};
use crate::harness::http::load::{CONNECTIONS, Run, closed_loop, peak};
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::rows;

/// Accounts that are read in turn.
const ROWS: i64 = 500;

/// An account with the names of its customer and its assignee, as the API shows it.
const STATEMENT: &str = "
    select a.*, c.name, c.given_name, c.family_name, c.company_name, c.external_id, coalesce(u.name, u.username)
    from accounts a
    join customers c on c.id = a.customer_id
    left join users u on u.id = a.assignee_id
    where a.id = $1";

/// Measures the server and Postgres in turn.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let ids: Arc<[Uuid]> = rows::random(&context.sandbox.pool, "accounts", ROWS).await?.into();
    ensure!(!ids.is_empty(), "there are no accounts to read");
    let endpoint = &context.server()?.endpoint;
    let requests = requests(endpoint, &ids)?;
    peak(endpoint, &requests, context.round).await?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..context.rounds {
        ours.push(peak(endpoint, &requests, context.round).await?.rate);
        reference.push(query(context, &ids).await?.rate);
    }
    Ok(vec![Measure {
        id: "P11",
        what: "account by id".into(),
        unit: "req/s",
        ours,
        reference,
        goal: Goal::RatioAtLeast(0.6),
        how: format!(
            "{} accounts in turn over {CONNECTIONS} keep-alive connections (closed loop), {:?} a round. Reference: the same rows \
             by one prepared statement over as many connections to Postgres.",
            ids.len(),
            context.round
        ),
        ..context.measure()
    }])
}

fn requests(endpoint: &Endpoint, ids: &[Uuid]) -> anyhow::Result<Arc<[Request]>> {
    ids.iter().map(|id| endpoint.get(&format!("/api/v1/accounts/{id}"))).collect()
}

async fn query(context: &Context<'_>, ids: &Arc<[Uuid]>) -> anyhow::Result<Run> {
    let (url, ids) = (context.sandbox.url.clone(), Arc::clone(ids));
    closed_loop(context.round, move |number, until| {
        let (url, ids) = (url.clone(), Arc::clone(&ids));
        async move { repeat(url.expose_secret(), &ids, number, until).await }
    })
    .await
}

async fn repeat(url: &str, ids: &[Uuid], number: usize, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut connection = PgConnection::connect(url).await?;
    let mut latencies = Vec::new();
    // Each connection begins elsewhere, as the requests do.
    let mut ids = ids.iter().cycle().skip(number * ids.len() / CONNECTIONS);
    while let (true, Some(id)) = (Instant::now() < until, ids.next()) {
        let begin = Instant::now();
        sqlx::query(STATEMENT).bind(id).fetch_one(&mut connection).await?;
        latencies.push(begin.elapsed());
    }
    connection.close().await?;
    Ok(latencies)
}
