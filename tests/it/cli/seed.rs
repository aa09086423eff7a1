//! `collections seed`: reproducible, with balances that match their ledgers.

use std::process::Output;

use crate::harness::database::Database;

/// Runs `collections seed` with a fixed day, because due dates depend on it.
async fn seed(database: &Database, arguments: &[&str]) -> Output {
    tokio::process::Command::new(env!("CARGO_BIN_EXE_collections"))
        .args(["seed", "--today", "2026-01-31"])
        .args(arguments)
        .env("DATABASE_URL", &database.url)
        .env_remove("DATABASE_OWNER_URL")
        .env_remove("APP_ENV")
        .output()
        .await
        .unwrap()
}

async fn seeded(database: &Database, arguments: &[&str]) -> String {
    let output = seed(database, arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn number(database: &Database, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&database.pool).await.unwrap()
}

/// A digest of all columns that the seed decides; Postgres sets the others.
async fn digest(database: &Database) -> String {
    sqlx::query_scalar(
        "select md5(string_agg(line, '' order by line)) from (
          select (to_jsonb(customers) - 'updated_at')::text as line from customers
          union all select (to_jsonb(contact_points) - 'created_at' - 'updated_at')::text from contact_points
          union all select (to_jsonb(addresses) - 'created_at' - 'updated_at')::text from addresses
          union all select (to_jsonb(accounts) - 'updated_at')::text from accounts
          union all select (to_jsonb(payments) - 'updated_at')::text from payments
          union all select to_jsonb(activities)::text from activities
          union all select to_jsonb(ledger_entries)::text from ledger_entries
        ) as lines",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn the_same_seed_creates_the_same_rows_at_once_or_in_parts() {
    let (one, other) = (Database::create().await, Database::create().await);
    seeded(&one, &["--customers", "120", "--seed", "7"]).await;
    seeded(&other, &["--customers", "40", "--seed", "7"]).await;
    seeded(&other, &["--customers", "120", "--seed", "7"]).await;
    assert_eq!(digest(&one).await, digest(&other).await);
    let output = seeded(&one, &["--customers", "120", "--seed", "7"]).await;
    assert!(output.contains("all 120 customers of seed 7 exist"), "{output}");
    seeded(&one, &["--customers", "20", "--seed", "8"]).await;
    assert_eq!(number(&one, "select count(*) from customers").await, 140);
}

#[tokio::test]
async fn seeded_balances_are_the_sums_of_their_ledgers() {
    let database = Database::create().await;
    seeded(&database, &["--customers", "300"]).await;
    let wrong = "select count(*) from accounts
        where balance <> coalesce((select sum(amount) from ledger_entries where account_id = accounts.id), 0)
        or balance < 0
        or (status in ('settled', 'closed', 'written_off') and balance <> 0)";
    assert_eq!(number(&database, wrong).await, 0);
    let unposted = "select count(*) from payments
        where (status in ('success', 'refunded', 'reversed'))
        <> exists (select from ledger_entries where payment_id = payments.id and kind = 'payment' and amount = -payments.amount)";
    assert_eq!(number(&database, unposted).await, 0);
    assert!(number(&database, "select count(distinct currency) from accounts").await > 5);
    assert_eq!(number(&database, "select count(*) from payments where received_at > '2026-01-31'").await, 0);
}

#[tokio::test]
async fn seeding_if_empty_keeps_existing_customers() {
    let database = Database::create().await;
    seeded(&database, &["--customers", "10", "--if-empty"]).await;
    let output = seeded(&database, &["--customers", "50", "--if-empty"]).await;
    assert!(output.contains("nothing seeded"), "{output}");
    assert_eq!(number(&database, "select count(*) from customers").await, 10);
}

#[tokio::test]
async fn demo_logins_are_created_once_and_never_in_production() {
    let database = Database::create().await;
    let refused = seed(&database, &["--customers", "0", "--demo", "--environment", "production"]).await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not created in production"));
    assert_eq!(number(&database, "select count(*) from users").await, 0);
    seeded(&database, &["--customers", "0", "--demo"]).await;
    seeded(&database, &["--customers", "0", "--demo"]).await;
    assert_eq!(number(&database, "select count(*) from users where username = role").await, 4);
}
