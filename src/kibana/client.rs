//! Kibana over HTTP: imports and exports of saved objects.
//!
//! Documented at elastic.co/docs/api/doc/kibana/v8: `/api/status`, `/api/saved_objects/_import` and `_export`, `/api/spaces/space`,
//! `/api/security/role`.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{PREFIX, SavedObject, saved_object};

/// The oldest version that reads the files.
const OLDEST: (u64, u64) = (8, 19);
/// Longest wait for one answer: an import of some dozen objects takes a second.
const DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(2);
/// Between the parts of a form. No saved object holds it.
const BOUNDARY: &str = "collections-7f0d2c4b9a";
/// The role that reads the indices for analysts, and nothing else.
const ROLE: &str = "analyst";
/// The space that is always there.
const DEFAULT_SPACE: &str = "default";

/// A Kibana.
pub struct Kibana {
    client: Client,
    url: Url,
    space: String,
}

/// What is done with objects that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// They stay, edited or not.
    Keep,
    Replace,
}

/// What an import has done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub written: usize,
    pub kept: usize,
}

/// Whether there is a role for analysts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleState {
    Written,
    Kept,
    /// Kibana has no users: its security is off.
    NoSecurity,
}

/// What Kibana says of an import.
#[derive(Deserialize)]
struct Answer {
    success: bool,
    #[serde(default)]
    errors: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    error: Value,
}

impl Kibana {
    /// Reads an address such as `http://user:password@host:5601`. The space is created when it is first written to.
    ///
    /// # Errors
    /// No address.
    pub fn open(url: &str, space: &str) -> anyhow::Result<Self> {
        let url: Url = url.parse().ok().context("KIBANA_URL is no address such as http://localhost:5601")?;
        ensure!(
            space.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_') && !space.is_empty(),
            "a space is named by lower-case letters, digits, - and _"
        );
        Ok(Self { client: Client::builder().timeout(DEADLINE).build()?, url, space: space.to_owned() })
    }

    /// Waits until Kibana is available; it takes a minute to start.
    ///
    /// # Errors
    /// It is not available in time, or too old.
    pub async fn wait(&self, patience: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + patience;
        let version = loop {
            match self.version().await {
                Ok(version) => break version,
                Err(error) if Instant::now() + PAUSE > until => return Err(error.context("kibana is not available")),
                Err(_) => sleep(PAUSE).await,
            }
        };
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or_default());
        let found = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        ensure!(found >= OLDEST, "kibana {version} is too old: the files are for {}.{} and later", OLDEST.0, OLDEST.1);
        Ok(())
    }

    async fn version(&self) -> anyhow::Result<String> {
        let status = expect(self.request(Method::GET, "api/status")?.send().await?).await?;
        let level = status.pointer("/status/overall/level").and_then(Value::as_str).unwrap_or_default();
        ensure!(level == "available", "its status is {level}");
        // Without users of its own, or for one of them.
        let version = status.pointer("/version/number").and_then(Value::as_str);
        Ok(version.context("it tells its version to users only: name one in KIBANA_URL")?.to_owned())
    }

    /// Creates the space unless it is there.
    pub async fn create_space(&self) -> anyhow::Result<()> {
        if self.space == DEFAULT_SPACE {
            return Ok(());
        }
        let space = json!({ "id": self.space, "name": self.space });
        let answer =
            self.request(Method::POST, "api/spaces/space")?.header("content-type", "application/json").body(space.to_string());
        let answer = answer.send().await?;
        if answer.status() == 409 {
            return Ok(());
        }
        expect(answer).await.context("cannot create the space").map(drop)
    }

    /// Creates the role that reads the indices for analysts and sees this space.
    pub async fn create_role(&self, index_prefix: &str, existing: Existing) -> anyhow::Result<RoleState> {
        let indices =
            json!([{ "names": [format!("{index_prefix}-analytics-*")], "privileges": ["read", "view_index_metadata"] }]);
        let role = json!({
            "elasticsearch": { "cluster": [], "indices": indices, "run_as": [] },
            "kibana": [{ "base": ["read"], "feature": {}, "spaces": [self.space] }],
        });
        let path = match existing {
            Existing::Keep => format!("api/security/role/{ROLE}?createOnly=true"),
            Existing::Replace => format!("api/security/role/{ROLE}"),
        };
        let answer = self.request(Method::PUT, &path)?.header("content-type", "application/json").body(role.to_string());
        let answer = answer.send().await?;
        match answer.status().as_u16() {
            404 => Ok(RoleState::NoSecurity),
            409 => Ok(RoleState::Kept),
            _ => expect(answer).await.context("cannot create the role").map(|_| RoleState::Written),
        }
    }

    /// Imports objects under their own ids, with data views that lead to the aliases of this prefix.
    ///
    /// # Errors
    /// Kibana refuses some of them, for another reason than that they are there.
    pub async fn import(&self, objects: &[SavedObject], index_prefix: &str, existing: Existing) -> anyhow::Result<Imported> {
        let objects: Vec<SavedObject> = objects.iter().map(|object| object.clone().with_prefix(PREFIX, index_prefix)).collect();
        let answer = self.send(&objects, existing).await?;
        if answer.success {
            return Ok(Imported { written: objects.len(), kept: 0 });
        }
        // Kibana writes nothing while some are in conflict: the others go alone.
        let (conflicts, faults): (Vec<Refused>, Vec<Refused>) =
            answer.errors.into_iter().partition(|one| one.error["type"] == "conflict");
        if existing == Existing::Replace || conflicts.is_empty() || !faults.is_empty() {
            bail!("kibana refuses {}", describe(&faults));
        }
        let kept: BTreeSet<(String, String)> = conflicts.into_iter().map(|one| (one.kind, one.id)).collect();
        let new: Vec<SavedObject> =
            objects.into_iter().filter(|object| !kept.contains(&(object.kind.clone(), object.id.clone()))).collect();
        if !new.is_empty() {
            let answer = self.send(&new, Existing::Keep).await?;
            ensure!(answer.success, "kibana refuses {}", describe(&answer.errors));
        }
        Ok(Imported { written: new.len(), kept: kept.len() })
    }

    async fn send(&self, objects: &[SavedObject], existing: Existing) -> anyhow::Result<Answer> {
        let file = saved_object::write(objects)?;
        let form = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"collections.ndjson\"\r\n\
             Content-Type: application/ndjson\r\n\r\n{file}\r\n--{BOUNDARY}--\r\n"
        );
        let overwrite = existing == Existing::Replace;
        let path = self.path(&format!("api/saved_objects/_import?overwrite={overwrite}"));
        let request = self.request(Method::POST, &path)?.body(form);
        let request = request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
        let answer = expect(request.send().await?).await.context("cannot import")?;
        serde_json::from_value(answer).context("kibana answers an import with something else")
    }

    /// Exports objects with all that they refer to, with the prefix of the files.
    ///
    /// # Errors
    /// One of them is not there.
    pub async fn export(&self, objects: &[SavedObject], index_prefix: &str) -> anyhow::Result<Vec<SavedObject>> {
        let wanted: Vec<Value> = objects.iter().map(|object| json!({ "type": object.kind, "id": object.id })).collect();
        let body = json!({ "objects": wanted, "includeReferencesDeep": true, "excludeExportDetails": true });
        let request = self.request(Method::POST, &self.path("api/saved_objects/_export"))?;
        let answer = request.header("content-type", "application/json").body(body.to_string()).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "cannot export: {status} {}", clipped(&text));
        let exported = saved_object::read("the export", &text)?;
        Ok(exported.into_iter().map(|object| object.with_prefix(index_prefix, PREFIX)).collect())
    }

    /// The path of an interface in the space.
    fn path(&self, path: &str) -> String {
        if self.space == DEFAULT_SPACE { path.to_owned() } else { format!("s/{}/{path}", self.space) }
    }

    fn request(&self, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        let mut url = self.url.clone();
        url.set_username("").ok();
        url.set_password(None).ok();
        let url = format!("{}/{path}", url.as_str().trim_end_matches('/'));
        let request = self.client.request(method, url).header("kbn-xsrf", "collections");
        if self.url.username().is_empty() {
            return Ok(request);
        }
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().map(String::from);
        let password = self.url.password().map(decoded).transpose()?;
        Ok(request.basic_auth(decoded(self.url.username())?, password))
    }
}

/// The JSON of an answer of success; null if it has none.
async fn expect(answer: Response) -> anyhow::Result<Value> {
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(!matches!(status.as_u16(), 401 | 403), "kibana does not admit the user of KIBANA_URL: {status}");
    ensure!(status.is_success(), "kibana answers {status} {}", clipped(&text));
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("kibana answers {}", clipped(&text)))
}

fn describe(refused: &[Refused]) -> String {
    let one =
        |one: &Refused| format!("{} {}: {}", one.kind, one.id, one.error["type"].as_str().unwrap_or("for an unknown reason"));
    if refused.is_empty() { "and does not say why".to_owned() } else { refused.iter().map(one).collect::<Vec<_>>().join("; ") }
}

/// The beginning of a text that may be a page.
fn clipped(text: &str) -> String {
    text.chars().take(300).collect()
}
