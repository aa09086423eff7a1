//! P12: payments recorded through the API against the same statements sent straight to Postgres.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use collections::values::ids;
use hyper::Method;
use secrecy::ExposeSecret;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::harness::context::Context;
use crate::harness::http::client::{Client, Endpoint, Request};
use crate::harness::http::load::{CONNECTIONS, Run, closed_loop};
use crate::harness::report::measure::{Goal, Measure};

/// Accounts that are paid in turn: no two connections pay one at the same moment.
const ROWS: i64 = 4_000;

const BODY: &str = r#"{"amount":"0.01","method":"cash","status":"success","reference":"bench"}"#;

/// What a payment with an idempotency key needs: key, account, payment, ledger entry, stored answer.
const STATEMENTS: [&str; 6] = [
    "select pg_try_advisory_xact_lock(hashtextextended($1::text, 0)), $2::uuid",
    "select status from idempotency_keys where caller = 'bench' and key = $1::text and $2::uuid is not null",
    "select id, currency, customer_id, version from accounts where id = $2 and $1::text <> '' for update",
    "insert into payments (id, account_id, customer_id, amount, currency, method, status, reference)
     select $1::uuid, a.id, a.customer_id, 1, a.currency, 'cash', 'success', 'bench' from accounts a where a.id = $2",
    "insert into ledger_entries (id, account_id, kind, amount, payment_id) values ($1::uuid, $2, 'payment', -1, $1::uuid)",
    "insert into idempotency_keys (caller, key, request_hash, status, response, expires_at)
     values ('bench', $1::text, '\\x00', 201, convert_to(repeat('x', 600), 'UTF8'), now() + interval '1 day')",
];

/// Accounts that take a cent at a time, in an order that is not the index's.
const PAYABLE: &str = "
    select id
    from accounts
    where status = 'open' and currency in ('EUR', 'USD') and balance >= 10000
    order by md5(id::text)
    limit $1";

/// Measures the server and Postgres in turn.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let accounts: Vec<Uuid> = sqlx::query_scalar(PAYABLE).bind(ROWS).fetch_all(&context.sandbox.pool).await?;
    let accounts: Arc<[Uuid]> = accounts.into();
    ensure!(accounts.len() >= CONNECTIONS, "there are too few accounts to pay");
    pay(context, &accounts).await?;
    let (mut ours, mut reference, mut processor) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..context.rounds {
        let before = context.server()?.cpu_seconds()?;
        let run = pay(context, &accounts).await?;
        let spent = context.server()?.cpu_seconds()? - before;
        processor.push(spent * 1e6 / (run.rate * context.round.as_secs_f64()).max(1.0));
        ours.push(run.rate);
        reference.push(insert(context, &accounts).await?.rate);
    }
    let how = format!(
        "{} accounts in turn over {CONNECTIONS} connections (closed loop), each payment with an idempotency key of its own, {:?} a \
         round. Reference: key, account, payment, ledger entry and answer by prepared statements in one transaction, over as many \
         connections to Postgres; triggers and audit log are the same.",
        accounts.len(),
        context.round
    );
    Ok(vec![
        Measure {
            id: "P12",
            what: "payments".into(),
            unit: "writes/s",
            ours,
            reference,
            goal: Goal::RatioAtLeast(0.8),
            how: how.clone(),
            ..context.measure()
        },
        Measure {
            id: "P12",
            what: "processor time of the server per payment, its sync included".into(),
            unit: "µs",
            ours: processor,
            how,
            ..context.measure()
        },
    ])
}

async fn pay(context: &Context<'_>, accounts: &Arc<[Uuid]>) -> anyhow::Result<Run> {
    let (endpoint, accounts) = (context.server()?.endpoint.clone(), Arc::clone(accounts));
    closed_loop(context.round, move |number, until| {
        let (endpoint, accounts) = (endpoint.clone(), Arc::clone(&accounts));
        async move {
            let mut client = Client::open(&endpoint).await?;
            let mut latencies = Vec::new();
            let mut accounts = own(&accounts, number);
            while let (true, Some(account)) = (Instant::now() < until, accounts.next()) {
                let request = payment(&endpoint, account)?;
                let begin = Instant::now();
                client.send(&request).await?;
                latencies.push(begin.elapsed());
            }
            Ok(latencies)
        }
    })
    .await
}

fn payment(endpoint: &Endpoint, account: &Uuid) -> anyhow::Result<Request> {
    let path = format!("/api/v1/accounts/{account}/payments");
    let mut request: Request = endpoint.request(Method::POST, &path, BODY.into())?;
    request.headers_mut().insert("idempotency-key", ids::new().to_string().parse()?);
    Ok(request)
}

/// The accounts of one connection.
fn own(accounts: &[Uuid], number: usize) -> impl Iterator<Item = &Uuid> {
    let each = accounts.len() / CONNECTIONS;
    accounts[number * each..(number + 1) * each].iter().cycle()
}

async fn insert(context: &Context<'_>, accounts: &Arc<[Uuid]>) -> anyhow::Result<Run> {
    let (url, accounts) = (context.sandbox.url.clone(), Arc::clone(accounts));
    closed_loop(context.round, move |number, until| {
        let (url, accounts) = (url.clone(), Arc::clone(&accounts));
        async move { repeat(url.expose_secret(), &accounts, number, until).await }
    })
    .await
}

async fn repeat(url: &str, accounts: &[Uuid], number: usize, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut connection = PgConnection::connect(url).await?;
    let mut latencies = Vec::new();
    let mut accounts = own(accounts, number);
    while let (true, Some(account)) = (Instant::now() < until, accounts.next()) {
        let begin = Instant::now();
        let mut transaction = connection.begin().await?;
        let id = ids::new().to_string();
        for statement in STATEMENTS {
            sqlx::query(statement).bind(&id).bind(account).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        latencies.push(begin.elapsed());
    }
    connection.close().await?;
    Ok(latencies)
}
