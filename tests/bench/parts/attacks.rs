//! Lists of one client while another, from another address, does its worst.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::{join_all, try_join_all};
use hyper::StatusCode;
use rustix::process::setpriority_process;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, sleep_until};
use uuid::Uuid;

use super::lists;
use crate::harness::context::Context;
use crate::harness::http::client::{Client, Endpoint, Request, connect_from};
use crate::harness::http::load::on_own_thread;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::Latencies;

const HOSTILE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A user that `collections seed --demo` creates; the other client is the administrator.
const HOSTILE_LOGIN: (&str, &str) = ("agent", "agent123");

/// Lists of the other client, a second.
const RATE: f64 = 20.0;

/// How much longer than when calm the other client may wait.
const GOAL: f64 = 3.0;

const MEMORY: f64 = 300.0;

/// The longest answer to a request that is refused.
const REFUSAL_BYTES: usize = 64 * 1024;

/// A hostile client, which may do whatever an agent may.
struct Attacker {
    endpoint: Endpoint,
    account: Uuid,
}

/// What is sent again and again, over so many connections.
struct Requests {
    name: &'static str,
    connections: usize,
    make: fn(&Attacker) -> anyhow::Result<Vec<Request>>,
}

const REQUESTS: [Requests; 11] = [
    Requests { name: "100,000 tags", connections: 3, make: |by| by.create(json!({ "name": "Ann", "tags": words(100_000) })) },
    Requests {
        name: "22,000 contact points",
        connections: 3,
        make: |by| by.create(json!({ "name": "Ann", "contactPoints": points(22_000) })),
    },
    Requests {
        name: "340,000 empty contact points",
        connections: 3,
        make: |by| by.create(json!({ "name": "Ann", "contactPoints": vec![json!({}); 340_000] })),
    },
    Requests { name: "12 words of 250 letters", connections: 8, make: |by| by.get(&format!("customers?q={}", searched(250))) },
    Requests {
        name: "12 words of 40 letters, mistyped",
        connections: 8,
        make: |by| by.get(&format!("search?q={}", searched(40))),
    },
    Requests {
        name: "7,000 unknown parameters",
        connections: 3,
        make: |by| by.get(&format!("customers?{}", "a&".repeat(7_000))),
    },
    Requests { name: "1,700 sort keys", connections: 3, make: |by| by.get(&format!("customers?sort={}", "name,".repeat(1_700))) },
    Requests { name: "sync tokens from the future", connections: 16, make: |by| by.get("customers?syncToken=FFFFFFFF/FFFFFFFF") },
    Requests { name: "log-ins with wrong passwords", connections: 36, make: |by| by.log_in(0) },
    Requests { name: "log-ins of 1 MB", connections: 100, make: |by| by.log_in(1_000_000) },
    Requests { name: "payments on one account", connections: 48, make: Attacker::pay },
];

impl Attacker {
    fn get(&self, path: &str) -> anyhow::Result<Vec<Request>> {
        Ok(vec![self.endpoint.get(&format!("/api/v1/{path}"))?])
    }

    fn create(&self, customer: Value) -> anyhow::Result<Vec<Request>> {
        Ok(vec![self.endpoint.post("/api/v1/customers", customer.to_string())?])
    }

    /// By many names, so that no lock-out makes them cheap.
    fn log_in(&self, padding: usize) -> anyhow::Result<Vec<Request>> {
        let endpoint = Endpoint { authorization: None, ..self.endpoint.clone() };
        let count = if padding == 0 { 5_000 } else { 10 };
        let body = |number| json!({ "username": format!("user{number}"), "password": format!("wrong{}", "x".repeat(padding)) });
        (0..count).map(|number| endpoint.post("/api/v1/auth/login", body(number).to_string())).collect()
    }

    fn pay(&self) -> anyhow::Result<Vec<Request>> {
        let path = format!("/api/v1/accounts/{}/payments", self.account);
        let body = json!({ "amount": "0.01", "method": "cash", "status": "success", "receiver": "Front desk" });
        Ok(vec![self.endpoint.post(&path, body.to_string())?])
    }

    /// Sends requests until the time is over. They may be refused, but not fail.
    async fn send(&self, requests: &Requests, until: Instant) -> anyhow::Result<()> {
        let made = (requests.make)(self)?;
        let each = (0..requests.connections).map(async |number| {
            let mut requests = made.iter().cycle().skip(number * made.len() / requests.connections);
            let mut client = Client::on(connect_from(HOSTILE, &self.endpoint).await?).await?;
            while let (true, Some(request)) = (Instant::now() < until, requests.next()) {
                // The server closes the connection of a body that it does not want to read.
                let Ok(answer) = client.exchange(request).await else {
                    client = Client::on(connect_from(HOSTILE, &self.endpoint).await?).await?;
                    continue;
                };
                let (status, length) = (answer.status(), answer.body().len());
                ensure!(
                    !status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE,
                    "an attack was answered {status}"
                );
                ensure!(status.is_success() || length <= REFUSAL_BYTES, "a refusal has {length} bytes");
            }
            Ok(())
        });
        try_join_all(each).await.map(drop)
    }

    /// Keeps log-ins open that never end.
    async fn wait(&self, until: Instant) -> anyhow::Result<()> {
        let head =
            "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{";
        while Instant::now() < until {
            let open = async |_| {
                let mut stream = connect_from(HOSTILE, &self.endpoint).await?;
                stream.write_all(head.as_bytes()).await?;
                anyhow::Ok(stream)
            };
            // Some are refused, because there may be only so many from one address.
            let _waiting = join_all((0..520).map(open)).await;
            sleep_until((Instant::now() + Duration::from_secs(5)).min(until).into()).await;
        }
        Ok(())
    }

    /// Reads long answers by a hundred bytes a second.
    async fn read_slowly(&self, until: Instant) -> anyhow::Result<()> {
        let authorization = self.endpoint.authorization.as_deref().unwrap_or_default();
        let head = format!("GET /api/v1/customers?limit=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n");
        let each = (0..50).map(async |_| {
            while Instant::now() < until {
                let mut stream = connect_from(HOSTILE, &self.endpoint).await?;
                if stream.write_all(head.as_bytes()).await.is_ok() {
                    read_slowly(&mut stream, until).await;
                }
            }
            anyhow::Ok(())
        });
        try_join_all(each).await.map(drop)
    }
}

/// Until the time is over or the server has had enough.
async fn read_slowly(stream: &mut TcpStream, until: Instant) {
    let mut few = [0; 10];
    while Instant::now() < until && stream.read(&mut few).await.is_ok_and(|read| read > 0) {
        sleep(Duration::from_millis(100)).await;
    }
}

fn words(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("w{number}")).collect()
}

fn points(count: usize) -> Vec<Value> {
    (0..count).map(|number| json!({ "kind": "email", "value": format!("{number}@b.c") })).collect()
}

/// Twelve different words of so many letters.
fn searched(letters: usize) -> String {
    let word = |first| (0..letters).map(|at| char::from(b'a' + (first + at * at) as u8 % 26)).collect::<String>();
    (0..12).map(word).collect::<Vec<_>>().join("+")
}

/// Measures each attack, and the other client alone before and after them.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let server = context.server()?;
    let names = REQUESTS.iter().map(|requests| requests.name).chain(["520 log-ins that never end", "50 slow readers"]);
    let names: Vec<&str> =
        names.filter(|name| context.sizes.attack.as_ref().is_none_or(|wanted| name.contains(wanted))).collect();
    ensure!(!names.is_empty(), "no attack has {} in its name", context.sizes.attack.as_deref().unwrap_or_default());
    let account = "select id from accounts where status = 'open' and deleted_at is null order by balance desc limit 1";
    let mut attacker = Attacker {
        endpoint: Endpoint { authorization: None, ..server.endpoint.clone() },
        account: sqlx::query_scalar(account).fetch_one(&context.sandbox.pool).await?,
    };
    attacker.endpoint.authorization = Some(server.token_of(HOSTILE_LOGIN).await?);
    let attacker = Arc::new(attacker);

    let calm = context.round.min(Duration::from_secs(20));
    ask(&server.endpoint, calm / 4).await?;
    let mut reference = vec![ask(&server.endpoint, calm).await?.percentile(99.0)];
    let mut found = Vec::new();
    for name in names {
        let (by, until) = (Arc::clone(&attacker), Instant::now() + context.round);
        let attack = on_own_thread(move || async move {
            // As if it worked on another machine.
            setpriority_process(None, 19)?;
            match REQUESTS.iter().find(|requests| requests.name == name) {
                Some(requests) => by.send(requests, until).await,
                None if name.starts_with("50") => by.read_slowly(until).await,
                None => by.wait(until).await,
            }
        });
        let (latencies, memory, attacked) = tokio::join!(ask(&server.endpoint, context.round), watch(context, until), attack);
        attacked.with_context(|| format!("attack with {name}"))?;
        let latencies = latencies.with_context(|| format!("lists while another client attacks with {name}"))?;
        found.push((name, latencies.percentile(99.0), memory?));
    }
    reference.push(ask(&server.endpoint, calm).await?.percentile(99.0));

    let how = format!(
        "{RATE} lists a second (open loop) while another user does it in a loop from another address for {:?}. Reference: the same lists \
         before and after all attacks. They share the processors, on which the attacker yields; there is no limit of requests.",
        context.round
    );
    let measures = found.into_iter().flat_map(|(name, p99, memory)| {
        let lists = Measure {
            id: "–",
            what: format!("lists beside {name}, p99"),
            unit: "ms",
            ours: vec![p99],
            reference: reference.clone(),
            goal: Goal::RatioAtMost(GOAL),
            how: how.clone(),
            ..context.measure()
        };
        let memory =
            context.trial_result(&format!("memory under {name}"), "MB", memory, Goal::AtMost(MEMORY), "The highest seen.");
        [lists, memory]
    });
    Ok(measures.collect())
}

/// The lists of the other client: none fails, and none comes from Postgres.
async fn ask(endpoint: &Endpoint, span: Duration) -> anyhow::Result<Latencies> {
    let endpoint = endpoint.clone();
    on_own_thread(move || async move {
        let requests: Vec<Request> =
            lists::paths("accounts").iter().map(|path| endpoint.get(path)).collect::<anyhow::Result<_>>()?;
        let mut client = Client::open(&endpoint).await?;
        let (begin, mut latencies) = (Instant::now(), Vec::new());
        for (number, request) in requests.iter().cycle().enumerate() {
            let due = begin + Duration::from_secs_f64(number as f64 / RATE);
            if due > begin + span {
                break;
            }
            sleep_until(due.into()).await;
            let list: Value = serde_json::from_slice(&client.read(request).await?)?;
            latencies.push(due.elapsed());
            ensure!(list["engine"] == "elasticsearch", "a list came from {}", list["engine"]);
        }
        Ok(Latencies::new(latencies))
    })
    .await
}

/// The most memory that the server has until then.
async fn watch(context: &Context<'_>, until: Instant) -> anyhow::Result<f64> {
    let mut most = 0.0_f64;
    while Instant::now() < until {
        most = most.max(context.server()?.memory()?);
        sleep(Duration::from_millis(100)).await;
    }
    Ok(most)
}
