//! Installs, runs and removes PGSync, a Python package, as its manual says.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use collections::search::index;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::harness::context::Context;
use crate::harness::http::client::Client;
use crate::harness::http::recording_proxy::RecordingProxy;
use crate::harness::rows;

pub const VERSION: &str = "7.3.0";
const TIMEOUT: Duration = Duration::from_secs(1_800);
/// A change that has not arrived so long after the last one is lost.
const LOSS_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// An installed PGSync, which has its own slot, triggers and index.
pub struct Pgsync {
    folder: PathBuf,
    log: PathBuf,
    index: String,
    environment: Vec<(&'static str, String)>,
    /// The Python client insists on an answer to `GET /`.
    _proxy: RecordingProxy,
}

pub struct Arrival {
    /// Changes per second.
    pub rate: f64,
    /// Changes that never arrived.
    pub lost: usize,
}

impl Pgsync {
    /// Installs it beside the report, unless it is there, and writes its schema.
    pub async fn install(context: &Context<'_>, redis_url: &SecretString) -> anyhow::Result<Self> {
        let folder = std::path::absolute(context.log.parent().unwrap_or(Path::new(".")))?.join(format!("pgsync-{VERSION}"));
        if !folder.join("bin/pgsync").exists() {
            let environment = Command::new("python3").args(["-m", "venv"]).arg(&folder).stdin(Stdio::null()).status().await;
            ensure!(environment.context("P6 needs python3")?.success(), "P6 needs python3 with the module venv");
            let mut install = Command::new(folder.join("bin/python"));
            install.args(["-m", "pip", "install", "--quiet", &format!("pgsync=={VERSION}")]).stdin(Stdio::null());
            ensure!(install.status().await?.success(), "pip cannot install PGSync");
        }
        let proxy = RecordingProxy::open(context.sandbox.raw.clone()).await?;
        // Its slot is named after database and index, and a name has 63 bytes at most.
        let index = format!("p6_{}", &context.sandbox.name[context.sandbox.name.len() - 8..]);
        std::fs::write(folder.join("schema.json"), schema(&context.sandbox.name, &index).to_string())?;
        let url = context.sandbox.url.expose_secret();
        let database = url.split_once('?').map_or(url, |(url, _)| url).replacen("postgres://", "postgresql://", 1);
        let environment = vec![
            ("PG_URL", database),
            ("ELASTICSEARCH_URL", proxy.url.clone()),
            ("REDIS_URL", redis_url.expose_secret().to_owned()),
            ("CHECKPOINT_PATH", folder.display().to_string()),
            // Settings in its favour: no compression on one machine, a long timeout, few log lines.
            ("ELASTICSEARCH_HTTP_COMPRESS", "false".into()),
            ("ELASTICSEARCH_TIMEOUT", "60".into()),
            ("GENERAL_LOGGING_LEVEL", "WARNING".into()),
        ];
        Ok(Self { log: context.log.with_file_name("pgsync.log"), folder, index, environment, _proxy: proxy })
    }

    /// Creates its slot, triggers and index, loads all rows and returns the time of the load.
    pub async fn load(&self, context: &Context<'_>, rows: u64) -> anyhow::Result<Duration> {
        self.remove_index(context).await?;
        self.run("bootstrap", &[]).await?;
        let elapsed = self.run("pgsync", &[]).await?;
        let loaded = self.count(context, &json!({ "match_all": {} })).await?;
        ensure!(loaded == rows, "PGSync has loaded {loaded} of {rows} documents");
        Ok(elapsed)
    }

    /// Runs it in trigger mode, its default, and measures how fast changes arrive.
    pub async fn follow(&self, context: &Context<'_>, change: &str, ids: &[Uuid], value: &str) -> anyhow::Result<Arrival> {
        let mut child = self.command("pgsync", &["--daemon"])?.spawn()?;
        let arrival = self.arrive(context, change, ids, value).await;
        child.start_kill()?;
        child.wait().await?;
        arrival
    }

    async fn arrive(&self, context: &Context<'_>, change: &str, ids: &[Uuid], value: &str) -> anyhow::Result<Arrival> {
        let pool = &context.sandbox.pool;
        let first = &ids[..1];
        let begin = Instant::now();
        // It does not report when it listens; the first change to arrive shows it.
        for number in 0.. {
            let early = format!("{value} early {number}");
            rows::change(pool, change, first, 1, &early).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.count(context, &shows(&early)).await? > 0 {
                break;
            }
            ensure!(begin.elapsed() < TIMEOUT, "PGSync follows no changes; see its log");
        }
        let begin = Instant::now();
        rows::change(pool, change, ids, 1, value).await?;
        let (written, early) = (Instant::now(), self.count(context, &shows(value)).await?);
        let wanted = ids.len() as u64;
        if early == wanted {
            return Ok(Arrival { rate: wanted as f64 / begin.elapsed().as_secs_f64(), lost: 0 });
        }
        let (mut arrived, mut latest) = (early, written);
        while arrived < wanted && latest.elapsed() < LOSS_TIMEOUT {
            tokio::time::sleep(POLL_INTERVAL).await;
            let now = self.count(context, &shows(value)).await?;
            if now > arrived {
                (arrived, latest) = (now, Instant::now());
            }
        }
        ensure!(arrived > early, "PGSync follows no changes; see its log");
        // Like ours without concurrent writes.
        let rate = (arrived - early) as f64 / latest.duration_since(written).as_secs_f64();
        Ok(Arrival { rate, lost: usize::try_from(wanted - arrived)? })
    }

    /// Removes its triggers, its slot and its index.
    pub async fn remove(&self, context: &Context<'_>) -> anyhow::Result<()> {
        self.run("bootstrap", &["--teardown"]).await?;
        self.remove_index(context).await
    }

    async fn remove_index(&self, context: &Context<'_>) -> anyhow::Result<()> {
        Ok(index::remove(&context.sandbox.elastic, &self.index).await?)
    }

    async fn count(&self, context: &Context<'_>, query: &serde_json::Value) -> anyhow::Result<u64> {
        let endpoint = &context.sandbox.raw;
        let mut client = Client::open(endpoint).await?;
        client.send(&endpoint.post(&format!("/{}/_refresh", self.index), "")?).await?;
        let request = endpoint.post(&format!("/{}/_count", self.index), json!({ "query": query }).to_string())?;
        let answer: serde_json::Value = serde_json::from_slice(&client.read(&request).await?)?;
        answer["count"].as_u64().context("the index reports no count")
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let mut child: Child = self.command(program, arguments)?.spawn()?;
        let ended = tokio::time::timeout(TIMEOUT, child.wait()).await;
        let ended = ended.with_context(|| format!("{program} has not ended after {TIMEOUT:?}"))??;
        ensure!(ended.success(), "{program} failed; see {}", self.log.display());
        Ok(begin.elapsed())
    }

    fn command(&self, program: &str, arguments: &[&str]) -> anyhow::Result<Command> {
        let log = std::fs::File::options().create(true).append(true).open(&self.log).context("cannot write PGSync's log")?;
        let mut command = Command::new(self.folder.join("bin").join(program));
        command
            .arg("--config")
            .arg(self.folder.join("schema.json"))
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        Ok(command)
    }
}

fn shows(value: &str) -> serde_json::Value {
    json!({ "term": { "portfolio.keyword": value } })
}

/// An account's columns, some of its customer's and its assignee's name. The search terms of our document cannot be described
/// here.
fn schema(database: &str, index: &str) -> serde_json::Value {
    let one = |table: &str, columns: &[&str], label: &str, parent: &str| {
        json!({
            "table": table, "columns": columns, "label": label,
            "relationship": {
                "variant": "object", "type": "one_to_one", "foreign_key": { "child": ["id"], "parent": [parent] },
            },
        })
    };
    json!([{
        "database": database,
        "index": index,
        "setting": { "number_of_shards": 1, "number_of_replicas": 0 },
        "nodes": {
            "table": "accounts",
            "columns": [
                "id", "version", "account_number", "customer_id", "currency", "balance", "original_amount", "due_date", "status",
                "assignee_id", "creditor", "portfolio", "product", "last_payment_at", "last_contact_at", "next_action_at", "tags",
                "custom", "created_at", "updated_at", "deleted_at",
            ],
            "children": [
                one("customers", &["name", "external_id"], "customer", "customer_id"),
                one("users", &["name", "username"], "assignee", "assignee_id"),
            ],
        },
    }])
}
