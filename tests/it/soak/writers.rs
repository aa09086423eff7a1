//! Writers that go on while servers fail, and remember which writes were acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::stage::Stage;
use crate::harness::client::{Answer, Client};
use crate::harness::dice::Dice;
use crate::harness::random_work;

/// The names that every customer may have.
pub(super) type Written = BTreeMap<Uuid, Names>;

/// The names that a customer may have. A write without a response may take effect, even after a later one: its server may have been
/// frozen.
#[derive(Debug, Default)]
pub(super) struct Names {
    acknowledged: String,
    unanswered: BTreeSet<String>,
}

impl Names {
    fn may_be(&self, name: &str) -> bool {
        self.acknowledged == name || self.unanswered.contains(name)
    }
}

/// Counts of work, faults and findings.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) acknowledged: AtomicU64,
    pub(super) checked: AtomicU64,
    pub(super) kills: AtomicU64,
    pub(super) freezes: AtomicU64,
    pub(super) restarts: AtomicU64,
    pub(super) outages: AtomicU64,
    /// Acknowledged writes that are not stored, and balances that are not the sum of their entries.
    pub(super) lost: AtomicU64,
    pub(super) differences: AtomicU64,
    /// Lists that did not show the write of their sync token.
    pub(super) stale: AtomicU64,
}

impl Tally {
    /// Checks that the database has every acknowledged write and that every balance is the sum of its entries.
    pub(super) async fn check(&self, pool: &PgPool, written: &Written) {
        let ids: Vec<Uuid> = written.keys().copied().collect();
        let rows: Vec<(Uuid, String)> =
            sqlx::query_as("select id, name from customers where id = any($1)").bind(ids).fetch_all(pool).await.unwrap();
        let stored: BTreeMap<Uuid, String> = rows.into_iter().collect();
        let lost = written.iter().filter(|(id, names)| stored.get(id).is_none_or(|name| !names.may_be(name)));
        let lost = lost.inspect(|(id, names)| println!("lost: {id} is {:?} and not one of {names:?}", stored.get(id))).count();
        let unbalanced: i64 = sqlx::query_scalar(
            "select count(*) from accounts
            where balance <> (select coalesce(sum(amount), 0) from ledger_entries where account_id = accounts.id)",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        self.checked.fetch_add(written.len() as u64, Ordering::Relaxed);
        self.lost.fetch_add(lost as u64 + u64::try_from(unbalanced).unwrap(), Ordering::Relaxed);
    }
}

/// Creates and renames customers, and expects to find each acknowledged write at once.
pub(super) async fn over_http(stage: &Stage, writer: u64, mut dice: Dice, stop: &CancellationToken) {
    let mut mine: Vec<Uuid> = Vec::new();
    let mut clients: Vec<Option<Client>> = vec![None; stage.servers()];
    let mut number = 0;
    while !stop.is_cancelled() {
        let at = usize::try_from(dice.roll(clients.len() as u64)).unwrap();
        if clients[at].is_none() {
            clients[at] = sign_in(&stage.client(at)).await;
        }
        let Some(client) = &clients[at] else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let _working = stage.pause.read().await;
        number += 1;
        let name = format!("Soak w{writer}n{number}");
        let is_new = mine.is_empty() || dice.roll(2) == 0;
        let target = if is_new { None } else { Some(dice.pick(&mine)) };
        let answer = match target {
            None => send(client, Method::POST, "/customers", &json!({ "name": name })).await,
            Some(id) => {
                stage.written.lock().await.entry(id).or_default().unanswered.insert(name.clone());
                send(client, Method::PATCH, &format!("/customers/{id}"), &json!({ "name": name })).await
            }
        };
        let Some(answer) = answer else { continue };
        match answer.status {
            200 | 201 => {
                let id: Uuid = answer.body["id"].as_str().unwrap().parse().unwrap();
                let is_certain = {
                    let mut written = stage.written.lock().await;
                    let names = written.entry(id).or_default();
                    names.unanswered.remove(&name);
                    names.acknowledged.clone_from(&name);
                    names.unanswered.is_empty()
                };
                if is_new {
                    mine.push(id);
                }
                stage.tally.acknowledged.fetch_add(1, Ordering::Relaxed);
                if is_certain {
                    expect_found(stage, client, &answer, &name, id).await;
                }
            }
            401 => clients[at] = None,
            _ => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A list with the sync token of the write shows it, whatever engine answers.
async fn expect_found(stage: &Stage, client: &Client, answer: &Answer, name: &str, id: Uuid) {
    let token = answer.header("x-sync-token");
    if token.is_empty() {
        return;
    }
    let word = name.split(' ').nth(1).unwrap();
    let list = client.with("x-sync-token", token);
    let path = format!("/customers?q={word}");
    let Some(found) = timeout(Duration::from_secs(20), list.try_send(Method::GET, &path, None)).await.ok().and_then(Result::ok)
    else {
        return;
    };
    if found.status != 200 {
        return;
    }
    let id = id.to_string();
    let shown = found.body["data"].as_array().is_some_and(|rows| rows.iter().any(|row| row["id"] == id && row["name"] == name));
    stage.tally.checked.fetch_add(1, Ordering::Relaxed);
    if !shown {
        println!("stale: {name} is not in the list of {}: {}", found.header("x-read-source"), found.body);
        stage.tally.stale.fetch_add(1, Ordering::Relaxed);
    }
}

async fn sign_in(client: &Client) -> Option<Client> {
    let body = json!({ "username": "soak", "password": "correct horse battery staple" });
    let answer = send(client, Method::POST, "/auth/login", &body).await.filter(|answer| answer.status == 200)?;
    Some(client.with_token(answer.body["access_token"].as_str()?))
}

async fn send(client: &Client, method: Method, path: &str, body: &serde_json::Value) -> Option<Answer> {
    timeout(Duration::from_secs(20), client.try_send(method, path, Some(body))).await.ok()?.ok()
}

/// Runs random transactions on every table.
pub(super) async fn in_sql(stage: &Stage, mut dice: Dice, stop: &CancellationToken) {
    let url = stage.cluster.url();
    let mut connection: Option<PgConnection> = None;
    while !stop.is_cancelled() {
        let _working = stage.pause.read().await;
        if connection.is_none() {
            connection = timeout(Duration::from_secs(2), PgConnection::connect(&url)).await.ok().and_then(Result::ok);
        }
        let Some(open) = &mut connection else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let work = format!("set lock_timeout = '300ms'; {}", random_work::transaction(&mut dice));
        match timeout(Duration::from_secs(10), sqlx::raw_sql(AssertSqlSafe(work)).execute(&mut *open)).await {
            Ok(Ok(_)) => drop(stage.tally.acknowledged.fetch_add(1, Ordering::Relaxed)),
            Ok(Err(sqlx::Error::Database(_))) => {
                if sqlx::raw_sql("rollback").execute(open).await.is_err() {
                    connection = None;
                }
            }
            _ => connection = None,
        }
        sleep(Duration::from_millis(dice.roll(20))).await;
    }
}
