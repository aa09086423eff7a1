//! A small HTTP client for tests: one caller, JSON in and out. Every reply has to be what the API's description says of it.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::described;

/// A caller of one server.
#[derive(Clone)]
pub struct Client {
    base: String,
    headers: HeaderMap,
    http: reqwest::Client,
    replies: Replies,
}

/// What is expected of replies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replies {
    Described,
    Any,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null if there was none, a string if it was not JSON.
    pub body: Value,
    /// The body as it came, with the digits of its numbers.
    pub text: String,
    request: String,
}

impl Client {
    /// A caller without credentials.
    pub fn new(base: String) -> Self {
        // The server closes idle connections; a request on one that is closing would fail.
        let idle = Duration::from_secs(2);
        // Tests see what is sent: a body is compressed for those alone that ask for it.
        let http = reqwest::Client::builder().no_proxy().no_gzip().timeout(Duration::from_secs(60)).pool_idle_timeout(idle);
        let http = http.build().unwrap();
        Self { base, headers: HeaderMap::new(), http, replies: Replies::Described }
    }

    /// The same caller of a server whose routes are not those of the copy in the repository.
    pub fn undescribed(&self) -> Self {
        Self { replies: Replies::Any, ..self.clone() }
    }

    /// The same caller with one more header on every request.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        client
    }

    /// The same caller with a bearer token.
    pub fn with_token(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// Sends a request. A path that begins with no known root is below `/api/v1`.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.try_send(method, path, body).await.expect("the server answers")
    }

    /// Sends a request and tells if no answer came.
    pub async fn try_send(&self, method: Method, path: &str, body: Option<&Value>) -> reqwest::Result<Answer> {
        self.try_send_text(method, path, body.map(ToString::to_string)).await
    }

    /// Sends JSON as it is written, with the digits of its numbers.
    pub async fn send_text(&self, method: Method, path: &str, body: &str) -> Answer {
        self.try_send_text(method, path, Some(body.to_owned())).await.expect("the server answers")
    }

    /// Sends text as JSON, unless a header of this client says what it is, and tells if no answer came.
    pub async fn try_send_text(&self, method: Method, path: &str, body: Option<String>) -> reqwest::Result<Answer> {
        let mut builder = self.builder(method.clone(), path);
        if let Some(body) = body {
            if !self.headers.contains_key("content-type") {
                builder = builder.header("content-type", "application/json");
            }
            builder = builder.body(body);
        }
        self.answer(method, path, builder).await
    }

    /// Sends a body of another media type, or of none.
    pub async fn send_as(&self, media_type: Option<&str>, method: Method, path: &str, body: &str) -> Answer {
        let mut builder = self.builder(method.clone(), path).body(body.to_owned());
        if let Some(media_type) = media_type {
            builder = builder.header("content-type", media_type);
        }
        self.answer(method, path, builder).await.expect("the server answers")
    }

    /// Sends bytes of a media type.
    pub async fn send_bytes(&self, media_type: &str, method: Method, path: &str, body: Vec<u8>) -> Answer {
        let builder = self.builder(method.clone(), path).header("content-type", media_type).body(body);
        self.answer(method, path, builder).await.expect("the server answers")
    }

    /// Gets a file with its headers.
    pub async fn download(&self, path: &str) -> (HeaderMap, Vec<u8>) {
        let response = self.builder(Method::GET, path).send().await.expect("the server answers");
        assert_eq!(response.status(), 200, "{path}");
        let headers = response.headers().clone();
        (headers, response.bytes().await.expect("the whole file").to_vec())
    }

    fn builder(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let rooted = ["/api", "/health", "/metrics"].iter().any(|root| path.starts_with(root));
        let url = format!("{}{}{path}", self.base, if rooted { "" } else { "/api/v1" });
        self.http.request(method, url).headers(self.headers.clone())
    }

    async fn answer(&self, method: Method, path: &str, builder: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let request = format!("{method} {path}");
        let response = builder.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let address = response.url().path().to_owned();
        let text = response.text().await?;
        if self.replies == Replies::Described {
            described::compare(&method, &address, status, &headers, &text);
        }
        let text_or = |_| Value::String(text.clone());
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or_else(text_or) };
        Ok(Answer { status, headers, body, text, request })
    }

    /// Downloads a file: the status, and the bytes as they came.
    pub async fn get_bytes(&self, path: &str) -> (u16, Vec<u8>) {
        let response = self.builder(Method::GET, path).send().await.expect("the server answers");
        let status = response.status().as_u16();
        (status, response.bytes().await.expect("the answer is complete").to_vec())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }
}

impl Answer {
    /// Asserts the status and hands out the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.request, self.body);
        self.body
    }

    /// A header's text, empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The stable code of a problem.
    #[track_caller]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_else(|| panic!("{} is no problem: {}", self.request, self.body))
    }
}
