//! Personal data in no sink: canaries go through every route, import and command at the most verbose level, and none comes out.

mod requests;
pub(crate) mod sinks;
mod values;

use std::collections::BTreeMap;
use std::sync::Mutex;

use collections::server;
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::app::{Indices, elasticsearch_url, redis_url};
use crate::harness::client::Client;
use crate::harness::cluster::Cluster;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::process::{self, free_port};
use crate::harness::socket::Socket;
use crate::harness::synced;
use requests::{Records, Sent, of_row};
use sinks::{Collector, Folder, Printed};
use values::Canaries;

/// The program on a private Postgres, whose log is a sink too, and everything that it writes to.
struct Stage {
    canaries: Canaries,
    cluster: Cluster,
    database: Database,
    _indices: Indices,
    folder: Folder,
    collector: Collector,
    findings: Mutex<Vec<String>>,
}

impl Stage {
    async fn new() -> Self {
        let cluster = Cluster::start().await;
        let database = Database::create_on(cluster.url()).await;
        let (folder, collector) = (Folder::new(), Collector::start().await);
        let indices = Indices(database.name.clone());
        Self { canaries: Canaries::new(), cluster, database, _indices: indices, folder, collector, findings: Mutex::default() }
    }

    /// The program with all sinks, at the most verbose level.
    fn command(&self) -> Command {
        let mut command = process::command(&self.database);
        command
            .env("LOG_LEVEL", "trace")
            .env("RUST_LOG", "trace,warp=trace")
            .env("LOG_DIR", &self.folder.0)
            .env("SLOW_LOG", "1ms")
            .env("ELASTICSEARCH_URL", elasticsearch_url())
            .env("REDIS_URL", redis_url().unwrap_or_default())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.collector.url)
            .env("OTEL_BSP_MAX_QUEUE_SIZE", "100000")
            .env("ANALYTICS", "on")
            .env("DEFAULT_REGION", "DE")
            .env("DB_POOL_SIZE", "4");
        command
    }

    /// Looks for canaries in a sink.
    fn check(&self, sink: &str, text: &str) {
        let shown = text.lines().map(|line| (line, self.canaries.found_in(line))).filter(|(_, found)| !found.is_empty());
        let findings = shown.take(10).map(|(line, found)| format!("{sink} shows {found:?}: {line:.1000}"));
        self.findings.lock().unwrap().extend(findings);
    }

    /// Sends a request and checks that a refusal tells nothing that its client did not say.
    async fn send(&self, client: &Client, sent: &Sent) -> u16 {
        let client = sent.headers.iter().fold(client.clone(), |client, (name, value)| client.with(name, value));
        let answer = client.try_send_text(sent.method.clone(), &sent.path, sent.body.clone()).await.unwrap();
        if answer.status >= 400 {
            let known = self.canaries.found_in(&sent.text());
            let told = self.canaries.found_in(&format!("{:?} {}", answer.headers, answer.text));
            let new: Vec<_> = told.into_iter().filter(|name| !known.contains(name)).collect();
            if !new.is_empty() {
                self.findings.lock().unwrap().push(format!("{sent:?} is answered with {new:?}: {}", answer.text));
            }
        }
        answer.status
    }

    async fn sign_in(&self, anonymous: &Client, username: &str) -> Client {
        let body = json!({ "username": username, "password": self.canaries.of("password") });
        let signed_in = anonymous.post("/auth/login", &body).await.expect(200);
        anonymous.with_token(signed_in["access_token"].as_str().unwrap())
    }

    /// Says canaries on sockets, on which only what the client has said comes back.
    async fn talk(&self, port: u16, token: &str) {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let of = |name| self.canaries.of(name);
        for path in [format!("/ws?ticket={}", of("token")), format!("/ws?{}={}", of("parameter"), of("phrase"))] {
            let header = format!("https://{}.org", of("header"));
            Socket::open(address, &path, &[("origin", &header)]).await.err();
        }
        for message in [
            json!({ "type": "subscribe", "topics": [format!("account:{}", of("accountNumber")), of("parameter")] }),
            json!({ "type": "resume", "from": of("token") }),
            json!({ "type": of("member"), (of("otherName")): of("name") }),
            json!({ "type": "auth", "token": of("token") }),
            json!([of("phone")]),
        ] {
            let mut socket = Socket::at(address, token).await;
            socket.say(&message).await;
            // One answer, or the end of the socket: told to the client that said it.
            socket.send(Message::Text(of("segment").into())).await.ok();
        }
    }

    /// Creates a customer with an account, a payment and an activity.
    async fn records(&self, admin: &Client) -> Records {
        let create = async |noun: &str, records: &Records| {
            let mut body = requests::body(noun, &self.canaries, records);
            if noun == "payments" {
                body["accountId"] = records.account.clone().into();
            }
            admin.post(&format!("/{noun}"), &body).await.expect(201)["id"].as_str().unwrap().to_owned()
        };
        let mut records =
            Records { customer: String::new(), account: String::new(), payment: String::new(), activity: String::new() };
        records.customer = create("customers", &records).await;
        records.account = create("accounts", &records).await;
        records.payment = create("payments", &records).await;
        records.activity = create("activities", &records).await;
        records
    }

    /// Runs a command to its end and returns what it prints.
    async fn run(&self, arguments: &[&str]) -> (String, String) {
        let output = self.command().args(arguments).output().await.unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).into()
    }

    /// Imports files whose rows are wrong in one cell. The report shows that cell to the owner of the file, and no other.
    async fn import(&self) {
        let of = |name| self.canaries.of(name);
        let (external, name, phone, email) = (of("externalId"), of("importedName"), of("phoneImported"), of("emailImported"));
        let customers = format!(
            "externalId,name,phone,email,dateOfBirth,taxId\n{external}-1,{name},{phone},{email},{},{}\n{external}-2,{name},{phone},{},,\n",
            of("birthdayOfOther"),
            of("secondTaxId"),
            of("mergedName"),
        );
        // A number of its own: the requests may have deleted the account with the other one, and then its cell is wrong too.
        let accounts =
            format!("accountNumber,customerName,balance,currency\n{}-1,{name},{},USD\n", of("accountNumber"), of("reason"));
        let payments = format!(
            "accountNumber,reference,amount,receiver\n{},{},{},{}\n",
            of("accountNumber"),
            of("reference"),
            of("failureReason"),
            of("receiver")
        );
        std::fs::create_dir_all(&self.folder.0).unwrap();
        // Whose cells are wrong, and shown for it.
        for (target, text, wrong) in [
            ("customers", customers, &["mergedName"][..]),
            ("accounts", accounts, &["reason"]),
            ("payments", payments, &["failureReason", "reference"]),
        ] {
            let file = std::env::temp_dir().join(format!("{}-{target}.csv", self.database.name));
            std::fs::write(&file, text).unwrap();
            for more in [&["--dry-run"][..], &[], &["--json"]] {
                let (stdout, stderr) = self.run(&[&["import", file.to_str().unwrap(), "--target", target], more].concat()).await;
                let report = wrong.iter().fold(stdout + &stderr, |report, name| report.replace(of(name), ""));
                self.check("the report of an import", &report);
            }
            std::fs::remove_file(file).unwrap();
        }
    }

    /// Makes Elasticsearch refuse a customer.
    async fn dead_letter(&self) {
        for statement in [
            "alter table customers drop constraint customers_name_length".to_owned(),
            format!("update customers set tags = array[repeat('{}', 4000)]", self.canaries.of("tag")),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&self.database.pool).await.unwrap();
        }
        eventually("a document is quarantined", async || {
            let counted = sqlx::query_scalar::<_, i64>("select count(*) from sync_dead_letters").fetch_one(&self.database.pool);
            counted.await.unwrap() > 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canaries_through_every_route_come_out_of_no_sink() {
    let Some(redis) = redis_url() else { return };
    let stage = Stage::new().await;
    for (username, role) in [(stage.canaries.of("username"), "admin"), ("viewer", "viewer")] {
        process::add_user_with(stage.command(), username, role, stage.canaries.of("password")).await;
    }
    let port = free_port().await;
    let mut command = stage.command();
    command.args(["serve"]).env("PORT", port.to_string());
    let mut server = Printed::start(command);
    let anonymous = Client::new(format!("http://127.0.0.1:{port}"));
    eventually("the server is ready", async || {
        anonymous.try_send(Method::GET, "/health/ready", None).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    let mut admin = stage.sign_in(&anonymous, stage.canaries.of("username")).await;
    let viewer = stage.sign_in(&anonymous, "viewer").await;
    let records = stage.records(&admin).await;
    eventually("elasticsearch answers lists", async || {
        let list = admin.get("/customers").await.expect(200);
        list["engine"] == "elasticsearch" && list["data"].as_array().is_some_and(|data| !data.is_empty())
    })
    .await;

    let app = synced::open(&stage.database.url, &stage.database.name, &[]);
    let mut table = server::routes(&app).table();
    // What removes a record comes after what needs it.
    table.sort_by_key(|row| row.method == "DELETE");
    let mut statuses = BTreeMap::<u16, usize>::new();
    for row in &table {
        for sent in of_row(row, &stage.canaries, &records) {
            let mut status = stage.send(&admin, &sent).await;
            if status == 401 && !sent.headers.iter().any(|(name, _)| *name == "authorization") {
                // The request before has ended the session.
                admin = stage.sign_in(&anonymous, stage.canaries.of("username")).await;
                status = stage.send(&admin, &sent).await;
            }
            *statuses.entry(status).or_default() += 1;
        }
        let sent = of_row(row, &stage.canaries, &records).swap_remove(0);
        stage.send(&viewer, &sent).await;
        stage.send(&anonymous, &sent).await;
    }
    println!("{statuses:?}");
    for expected in [200, 201, 400, 404, 409, 412, 422] {
        assert!(statuses.contains_key(&expected), "{expected} is among {statuses:?}");
    }
    assert!(!statuses.keys().any(|status| *status >= 500), "{statuses:?}");

    let signed_in = json!({ "username": "viewer", "password": stage.canaries.of("password") });
    let token = anonymous.post("/auth/login", &signed_in).await.expect(200);
    stage.talk(port, token["access_token"].as_str().unwrap()).await;
    stage.import().await;
    stage.dead_letter().await;
    for arguments in [&["sync", "dead-letters"][..], &["sync", "status"], &["sync", "verify", "--deep"]] {
        let (stdout, stderr) = stage.run(arguments).await;
        stage.check(&arguments.join(" "), &(stdout + &stderr));
    }
    for path in ["/metrics", "/api/metrics", "/health"] {
        stage.check(path, &admin.get(path).await.text);
    }
    stage.check("redis", &sinks::redis(&redis).await);
    server.stop().await;

    let (stdout, stderr, files) = (server.stdout.read(), server.stderr.read(), stage.folder.read());
    let (traces, postgres) = (stage.collector.received.read(), stage.cluster.log());
    for (sink, text, known) in [
        ("standard output", &stdout, "request answered"),
        ("standard error", &stderr, ""),
        ("the files of the log", &files, "slow request to elasticsearch"),
        ("the collector of traces", &traces, "POST /api/v1/customers"),
        ("the log of postgres", &postgres, "database system is ready"),
    ] {
        assert!(text.contains(known), "{sink} is read");
        stage.check(sink, text);
    }
    let findings = stage.findings.lock().unwrap();
    println!("{}", findings.join("\n"));
    assert!(findings.is_empty(), "{} findings", findings.len());
}
