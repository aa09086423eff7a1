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
use crate::harness::server::{Server, command};

/// Accounts that are read in turn.
const ROWS: i64 = 500;

/// An account with the names of its customer and its assignee, as the API shows it.
const STATEMENT: &str = "
    select a.*, c.name, c.given_name, c.family_name, c.company_name, c.external_id, coalesce(u.name, u.username)
    from accounts a
    join customers c on c.id = a.customer_id
    left join users u on u.id = a.assignee_id
    where a.id = $1";

/// Measures a server without its row cache, the server as it is configured, and Postgres in turn.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let ids: Arc<[Uuid]> = rows::random(&context.sandbox.pool, "accounts", ROWS).await?.into();
    ensure!(!ids.is_empty(), "there are no accounts to read");
    let mut serve = command(context.sandbox, &["serve", "--only", "api"]);
    serve.env("ROW_CACHE_BYTES", "0");
    let mut uncached = Server::run(serve, context.log).await?;
    uncached.sign_in().await?;

    let cached = &context.server()?.endpoint;
    let (from_postgres, from_memory) = (requests(&uncached.endpoint, &ids)?, requests(cached, &ids)?);
    for (endpoint, requests) in [(&uncached.endpoint, &from_postgres), (cached, &from_memory)] {
        peak(endpoint, requests, context.round).await?;
    }
    let (mut postgres, mut memory, mut reference) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..context.rounds {
        postgres.push(peak(&uncached.endpoint, &from_postgres, context.round).await?.rate);
        reference.push(query(context, &ids).await?.rate);
        memory.push(peak(cached, &from_memory, context.round).await?.rate);
    }
    uncached.stop().await?;

    let row = |what: &str, ours, goal| Measure {
        id: "P11",
        what: format!("account by id, {what}"),
        unit: "req/s",
        ours,
        reference: reference.clone(),
        goal: Goal::RatioAtLeast(goal),
        how: format!(
            "{} accounts in turn over {CONNECTIONS} keep-alive connections (closed loop), {:?} a round. Reference: the same rows \
             by one prepared statement over as many connections to Postgres.",
            ids.len(),
            context.round
        ),
        ..context.measure()
    };
    Ok(vec![row("from Postgres", postgres, 0.6), row("from memory", memory, 1.5)])
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
