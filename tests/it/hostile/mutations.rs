//! Mutations of valid requests to every route, on both engines. `MUTATION_SEED` repeats one request, `MUTATION_RUNS` is their number.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use collections::collections::{ALL, find};
use collections::http::Row;
use collections::server;
use tokio::time::{sleep, timeout};

use super::message::Caller;
use super::mutate::{Mutated, mutate};
use crate::harness::app::{Indices, elasticsearch_url};
use crate::harness::database::Database;
use crate::harness::dice::Dice;
use crate::harness::eventually::eventually;
use crate::harness::process::{self, Server};
use crate::harness::raw_socket::{Wire, status};
use crate::harness::synced;

pub(super) const PASSWORD: &str = "correct horse battery";

const RUNS: u64 = 20_000;
const CALLERS: u64 = 8;
/// Requests of a caller between two sets of records: some are changed or deleted meanwhile.
const RENEWAL: u64 = 100;
/// Beyond the server's own timeout of a request, which is answered with 504.
const PATIENCE: Duration = Duration::from_secs(60);
/// After this pause a client that has sent half a request ends its side of the connection.
const PAUSE: Duration = Duration::from_millis(200);
/// A client tries again what the server was too busy for; the database of a machine that runs other tests may be.
const RETRIES: u64 = 3;
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Bytes of an answer to a refused request.
const LARGEST_REFUSAL: usize = 64 << 10;

struct Run {
    table: Vec<Row>,
    servers: [Server; 2],
    codes: BTreeSet<&'static str>,
    statuses: Mutex<BTreeMap<u16, u64>>,
    findings: Mutex<Vec<String>>,
}

impl Run {
    /// Sends every eighth request, from the first on.
    async fn call(&self, first: u64, until: u64) {
        let mut caller = Caller::sign_in(&self.servers[0].client(), &format!("c{first}")).await;
        let mut wires: [Option<Wire>; 2] = [None, None];
        for (turn, number) in (first..until).step_by(usize::try_from(CALLERS).unwrap()).enumerate() {
            if turn as u64 % RENEWAL == RENEWAL - 1 {
                caller.renew(&format!("r{number}")).await;
            }
            let mut dice = Dice::new(number);
            let row = &self.table[usize::try_from(dice.roll(self.table.len() as u64)).unwrap()];
            let mutated = mutate(caller.request(row, number, &mut dice), &mut dice);
            let server = usize::try_from(dice.roll(2)).unwrap();
            let mut answer = send(&mut wires[server], self.servers[server].address(), &mutated).await;
            for _ in 0..RETRIES {
                if answer.as_deref().is_some_and(|answer| status(answer) == 503) {
                    sleep(RETRY_AFTER).await;
                    answer = send(&mut wires[server], self.servers[server].address(), &mutated).await;
                }
            }
            *self.statuses.lock().unwrap().entry(answer.as_deref().map_or(0, status)).or_default() += 1;
            if let Some(fault) = self.fault(answer.as_deref(), &mutated) {
                let request = mutated.bytes.escape_ascii().to_string().replace(&caller.token, "TOKEN");
                let request: String = request.chars().take(600).collect();
                self.findings.lock().unwrap().push(format!("MUTATION_SEED={number} {fault}\n  {request}"));
            }
            let is_signed_out = row.path.ends_with("/logout") && answer.is_some_and(|answer| status(&answer) == 204);
            if is_signed_out {
                caller = Caller::sign_in(&self.servers[0].client(), &format!("s{number}")).await;
            }
        }
    }

    /// What is wrong with an answer. Closing the connection is one to half a request.
    fn fault(&self, answer: Option<&str>, request: &Mutated) -> Option<String> {
        let Some(answer) = answer else { return Some(format!("no answer in {PATIENCE:?}")) };
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
        let status = status(answer);
        match status {
            0 if answer.is_empty() && !request.is_framed => None,
            0 => Some(format!("no HTTP: {answer:?}")),
            500.. => Some(format!("{status} {body}")),
            400.. if answer.len() > LARGEST_REFUSAL => Some(format!("{status} with {} bytes", answer.len())),
            // Not valid HTTP.
            400 | 414 | 431 if head.contains("content-length: 0") => None,
            400.. => {
                let is_problem = head.contains("content-type: application/problem+json");
                let problem: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
                let is_known = request.is_head || problem["code"].as_str().is_some_and(|code| self.codes.contains(code));
                (!is_problem || !is_known).then(|| format!("{status} without a known code: {answer}"))
            }
            _ => None,
        }
    }
}

/// Sends a request, on an open connection if there is one. Returns what was answered, nothing if the server closed the connection, and
/// `None` if neither came.
async fn send(open: &mut Option<Wire>, address: SocketAddr, request: &Mutated) -> Option<String> {
    let mut reused = open.take_if(|_| request.is_framed);
    loop {
        let is_reused = reused.is_some();
        let mut wire = match reused.take() {
            Some(wire) => wire,
            None => Wire::open(address).await,
        };
        wire.try_send(&request.bytes).await;
        if !request.is_framed && timeout(PAUSE, wire.readable()).await.is_err() {
            wire.finish().await;
        }
        let answer = timeout(PATIENCE, wire.try_answer(request.is_head)).await.ok()?;
        if answer.is_empty() && is_reused {
            // It was closed before the request arrived.
            continue;
        }
        if request.is_framed && status(&answer) != 0 && !answer.contains("connection: close\r\n") {
            *open = Some(wire);
        }
        return Some(answer);
    }
}

/// Every route, and lists more often: they take the most parameters.
fn weighted(table: Vec<Row>) -> Vec<Row> {
    let is_list = |row: &&Row| row.method == "GET" && row.path.rsplit('/').next().and_then(find).is_some();
    let lists: Vec<Row> = table.iter().filter(is_list).cloned().collect();
    [&table[..], &lists, &lists, &lists, &lists].concat()
}

/// The codes of answers in `docs/errors.md`.
fn codes() -> BTreeSet<&'static str> {
    let rows = include_str!("../../../docs/errors.md").lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | 4"));
    rows.map(|(code, _)| code).collect()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_requests_are_answered_and_break_nothing() {
    let database = Database::create().await;
    let _indices = Indices(database.name.clone());
    process::add_user(&database, "admin", "admin", PASSWORD).await;
    let command = || {
        let mut command = process::command(&database);
        command.env("ELASTICSEARCH_URL", elasticsearch_url()).env("LOG_LEVEL", "warn").env("HTTP_COMPRESSION", "false");
        command
    };
    let searching = Server::start(command(), process::free_port().await).await;
    let mut without = command();
    without.env_remove("ELASTICSEARCH_URL");
    let without = Server::start_with(without, process::free_port().await, &["serve", "--only", "api"]).await;
    let witness = Caller::sign_in(&searching.client(), "witness").await;
    for collection in ALL {
        let list = format!("/{}", collection.name);
        eventually("elasticsearch answers lists", async || {
            witness.client.get(&list).await.expect(200)["engine"] == "elasticsearch"
        })
        .await;
    }
    let before = witness.records().await;
    let app = synced::open(&database.url, &database.name, &[]);
    let run = Run {
        table: weighted(server::routes(&app).table()),
        servers: [searching, without],
        codes: codes(),
        statuses: Mutex::default(),
        findings: Mutex::default(),
    };
    let run = Arc::new(run);
    let numbers = match number("MUTATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MUTATION_RUNS").unwrap_or(RUNS),
    };
    let started = Instant::now();
    let callers = (0..CALLERS).map(|caller| {
        let (run, first, until) = (run.clone(), numbers.start + caller, numbers.end);
        tokio::spawn(async move { run.call(first, until).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    println!("{numbers:?} in {:.1?}: {:?}", started.elapsed(), run.statuses.lock().unwrap());

    let mut findings = std::mem::take(&mut *run.findings.lock().unwrap());
    findings.extend(run.servers.iter().flat_map(Server::errors));
    println!("{}", findings.join("\n"));
    assert_eq!(witness.records().await, before);
    let list = witness.client.get("/customers?externalId=witness").await.expect(200);
    assert_eq!(list["data"][0], before[0]);
    let verified = command().args(["sync", "verify", "--deep", "--ledger"]).output().await.unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    assert!(findings.is_empty(), "{} findings", findings.len());
}
