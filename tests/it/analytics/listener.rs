//! A listener that answers as Kibana's documented interface does, failures included.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What it holds, and how it fails.
#[derive(Debug)]
pub(super) struct State {
    /// By type and id.
    pub(super) objects: BTreeMap<(String, String), Value>,
    pub(super) spaces: BTreeSet<String>,
    pub(super) role: Option<Value>,
    pub(super) version: &'static str,
    /// Questions for the status that are answered with 503 first.
    pub(super) starting: u32,
    pub(super) has_security: bool,
    /// The type of an error that the next import is refused with, by an answer of 200.
    pub(super) refuses: Option<&'static str>,
    /// What every request has to carry, if users are known.
    pub(super) authorization: Option<String>,
}

/// A listener; it ends with this value.
pub(super) struct Listener {
    pub(super) url: String,
    pub(super) state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Listener {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            objects: BTreeMap::new(),
            spaces: BTreeSet::new(),
            role: None,
            version: "8.19.8",
            starting: 0,
            has_security: true,
            refuses: None,
            authorization: None,
        }));
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&state), request));
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, state, accepting }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    let mut state = state.lock();
    let (status, answer) = if state.authorization.is_some() && header("authorization") != state.authorization {
        (401, json!({ "statusCode": 401, "error": "Unauthorized" }).to_string())
    } else if parts.method != "GET" && header("kbn-xsrf").is_none() {
        (400, json!({ "statusCode": 400, "message": "Request must contain a kbn-xsrf header." }).to_string())
    } else {
        state.answer(parts.method.as_str(), &path, &query, &body)
    };
    Ok(Response::builder().status(status).header("content-type", "application/json").body(Full::from(answer)).unwrap())
}

impl State {
    fn answer(&mut self, method: &str, path: &str, query: &str, body: &str) -> (u16, String) {
        let in_space = path.strip_prefix("/s/").and_then(|path| path.split_once('/'));
        let path = match in_space {
            Some((space, _)) if !self.spaces.contains(space) => return (404, json!({ "statusCode": 404 }).to_string()),
            Some((_, path)) => format!("/{path}"),
            None => path.to_owned(),
        };
        match (method, path.as_str()) {
            ("GET", "/api/status") if self.starting > 0 => {
                self.starting -= 1;
                (503, "Kibana server is not ready yet".to_owned())
            }
            ("GET", "/api/status") => {
                let status = json!({ "overall": { "level": "available" } });
                (200, json!({ "version": { "number": self.version }, "status": status }).to_string())
            }
            ("POST", "/api/spaces/space") => {
                let space: Value = serde_json::from_str(body).unwrap();
                let is_new = self.spaces.insert(space["id"].as_str().unwrap().to_owned());
                (if is_new { 200 } else { 409 }, space.to_string())
            }
            ("PUT", "/api/security/role/analyst") if !self.has_security => (404, json!({ "statusCode": 404 }).to_string()),
            ("PUT", "/api/security/role/analyst") if query.contains("createOnly=true") && self.role.is_some() => {
                (409, json!({ "statusCode": 409 }).to_string())
            }
            ("PUT", "/api/security/role/analyst") => {
                self.role = Some(serde_json::from_str(body).unwrap());
                (204, String::new())
            }
            ("POST", "/api/saved_objects/_import") => (200, self.import(query.contains("overwrite=true"), body).to_string()),
            ("POST", "/api/saved_objects/_export") => self.export(&serde_json::from_str(body).unwrap()),
            _ => (404, json!({ "statusCode": 404, "message": "Not Found" }).to_string()),
        }
    }

    /// Writes all objects of the file in a form, or none of them.
    fn import(&mut self, overwrites: bool, form: &str) -> Value {
        assert!(form.contains("name=\"file\"; filename=\"") && form.contains(".ndjson\""), "{form}");
        let file: Vec<Value> = form.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let key = |object: &Value| (object["type"].as_str().unwrap().to_owned(), object["id"].as_str().unwrap().to_owned());
        let known: BTreeSet<_> = self.objects.keys().cloned().chain(file.iter().map(key)).collect();
        let error = |object: &Value, kind: &str| json!({ "type": object["type"], "id": object["id"], "error": { "type": kind } });
        let mut errors = Vec::new();
        for object in &file {
            let is_missing = |reference: &&Value| !known.contains(&key(reference));
            if let Some(kind) = self.refuses {
                errors.push(error(object, kind));
            } else if object["references"].as_array().unwrap().iter().any(|reference| is_missing(&reference)) {
                errors.push(error(object, "missing_references"));
            } else if !overwrites && self.objects.contains_key(&key(object)) {
                errors.push(error(object, "conflict"));
            }
        }
        if !errors.is_empty() {
            return json!({ "success": false, "successCount": file.len() - errors.len(), "errors": errors });
        }
        let count = file.len();
        self.objects.extend(file.into_iter().map(|object| (key(&object), object)));
        json!({ "success": true, "successCount": count })
    }

    fn export(&self, wanted: &Value) -> (u16, String) {
        let key = |object: &Value| (object["type"].as_str().unwrap().to_owned(), object["id"].as_str().unwrap().to_owned());
        let found: Option<Vec<&Value>> =
            wanted["objects"].as_array().unwrap().iter().map(|object| self.objects.get(&key(object))).collect();
        let Some(found) = found else {
            return (400, json!({ "statusCode": 400, "message": "Error fetching objects" }).to_string());
        };
        let stored = |object: &Value| {
            let mut object = object.clone();
            object["updated_at"] = json!("2026-11-23T00:00:00.000Z");
            object["version"] = json!("WzEsMV0=");
            object.to_string() + "\n"
        };
        (200, found.into_iter().map(stored).collect())
    }
}
