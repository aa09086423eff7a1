//! A customer with very many accounts is renamed twice while other rows change.

use std::time::{Duration, Instant};

use anyhow::ensure;
use uuid::Uuid;

use crate::harness::context::{Context, TRIAL};
use crate::harness::http::client::Client;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::Latencies;
use crate::harness::{catch_up, verify};
use crate::parts::freshness;

const PARENT: Uuid = Uuid::from_u128(0xfa_0001);
/// Fraction of the first fan-out after which the second rename comes.
const MIDWAY: f64 = 0.3;
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Rows that change in turn, so that none of them is debounced.
const OTHERS: i64 = 50;
const TIMEOUT: Duration = Duration::from_secs(1200);

/// Renames a customer with so many accounts.
pub async fn measure(context: &mut Context<'_>, children: u64) -> anyhow::Result<Vec<Measure>> {
    let pool = context.sandbox.pool.clone();
    sqlx::query("insert into customers (id, name) values ($1, 'Holding Before') on conflict do nothing")
        .bind(PARENT)
        .execute(&pool)
        .await?;
    for from in (0..children).step_by(100_000) {
        let sql = "
            insert into accounts (id, account_number, customer_id, currency, status)
            select uuidv7(), 'FAN-' || n, $1, 'EUR', 'open' from generate_series($2::bigint + 1, least($2 + 100000, $3)) as n";
        sqlx::query(sql).bind(PARENT).bind(i64::try_from(from)?).bind(i64::try_from(children)?).execute(&pool).await?;
    }
    catch_up::wait(&pool).await?;

    let begin = Instant::now();
    rename(&pool, "Holding First").await?;
    let mut client = Client::open(&context.server()?.endpoint).await?;
    let others: Vec<Uuid> = sqlx::query_scalar("select id from accounts where customer_id <> $1 order by id limit $2")
        .bind(PARENT)
        .bind(OTHERS)
        .fetch_all(&pool)
        .await?;
    ensure!(!others.is_empty(), "there are no other accounts");
    let mut others = others.iter().cycle();
    let mut latencies = Vec::new();
    let mut renamed_again = false;
    let mut number = 0;
    loop {
        let cursor: Option<(i64,)> = sqlx::query_as("select count(*) from sync_fanouts").fetch_optional(&pool).await?;
        let is_over = cursor.is_none_or(|(jobs,)| jobs == 0) && number > 10;
        if is_over && renamed_again {
            break;
        }
        ensure!(begin.elapsed() < TIMEOUT, "the fan-out does not end within {TIMEOUT:?}");
        let done = if renamed_again { 1.0 } else { progress(&pool, children).await? };
        if !renamed_again && (done > MIDWAY || is_over) {
            renamed_again = true;
            rename(&pool, "Holding Second").await?;
        }
        number += 1;
        let creditor = format!("other-{number}");
        sqlx::query("update accounts set creditor = $2 where id = $1").bind(others.next()).bind(&creditor).execute(&pool).await?;
        let committed = Instant::now();
        freshness::wait(&mut client, &context.server()?.endpoint, &creditor).await?;
        latencies.push(committed.elapsed());
        tokio::time::sleep(POLL_INTERVAL.saturating_sub(committed.elapsed())).await;
    }
    let elapsed = begin.elapsed().as_secs_f64();
    let latencies = Latencies::new(latencies);
    let how = format!(
        "A customer with {children} accounts was renamed, and renamed again after {:.0} % of them had followed, {elapsed:.0} s \
         in all; meanwhile {} changes of other accounts, each measured from its commit until a list shows it.",
        MIDWAY * 100.0,
        latencies.count()
    );
    let sql = "select count(*) from accounts where customer_id = $1";
    let expected: i64 = sqlx::query_scalar(sql).bind(PARENT).fetch_one(&pool).await?;
    Ok(vec![
        context.trial_result(
            &format!("rename with {expected} accounts: commit → searchable of others, p50"),
            "ms",
            latencies.percentile(50.0),
            Goal::None,
            &how,
        ),
        context.trial_result("the same, p99", "ms", latencies.percentile(99.0), Goal::AtMost(250.0), &how),
        context.trial_result("accounts written", "documents/s", children as f64 * 2.0 / elapsed, Goal::None, &how),
        verify::differences(context, TRIAL).await?,
    ])
}

async fn rename(pool: &sqlx::PgPool, name: &str) -> sqlx::Result<()> {
    sqlx::query("update customers set name = $2 where id = $1").bind(PARENT).bind(name).execute(pool).await.map(drop)
}

/// Fraction of the accounts that the fan-out has passed.
async fn progress(pool: &sqlx::PgPool, children: u64) -> sqlx::Result<f64> {
    let sql = "
        select count(*) from accounts
        where customer_id = $1
        and id <= (
          select cursor from sync_fanouts
          where parent = $1 and edge = 'customers/accounts' and cursor is not null
          order by cursor desc
          limit 1
        )";
    let passed: i64 = sqlx::query_scalar(sql).bind(PARENT).fetch_one(pool).await?;
    Ok(passed as f64 / children as f64)
}
