//! Every address with every method for every caller, as the route table has them: who is admitted, and what all answers carry.

use std::collections::BTreeMap;

use collections::auth::{Permission, Role};
use collections::http::Row;
use collections::server;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Client};
use crate::harness::raw_socket::{Wire, status};

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];

const ROLES: [Role; 4] = [Role::Viewer, Role::Agent, Role::Manager, Role::Admin];

/// The page that all requests of these tests come from.
pub(super) const ORIGIN: &str = "https://app.example.org";

/// An id that no record has.
pub(crate) const ABSENT: &str = "00000000-0000-7000-8000-000000000000";

/// What every answer says, whatever its status.
const SECURITY: [(&str, &str); 8] = [
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=63072000; includeSubDomains"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-site"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", ""),
];

/// What pages may read of every answer, and what is for their browser.
const NOT_EXPOSED: [&str; 8] = [
    "transfer-encoding",
    "cache-control",
    "content-length",
    "content-type",
    "date",
    "permissions-policy",
    "vary",
    "access-control-allow-origin",
];

/// An address that is served.
pub(super) struct Address {
    pub path: String,
    /// What each method needs: the name of a permission, or `public`.
    pub access: BTreeMap<String, &'static str>,
}

impl Address {
    /// The value of `Allow`.
    pub fn allow(&self) -> String {
        let mut methods: Vec<&str> = self.access.keys().map(String::as_str).chain(["OPTIONS"]).collect();
        if self.access.contains_key("GET") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.join(", ")
    }
}

/// Every address of the route table, with the id of no record where it takes one.
pub(super) fn addresses(test: &TestApp) -> Vec<Address> {
    let mut addresses: BTreeMap<String, BTreeMap<String, &str>> = BTreeMap::new();
    // The pages of the documentation run scripts, so they have a policy of their own.
    let is_page = |row: &Row| row.path.contains("/docs") || row.path == "/api-docs";
    for row in server::routes(&test.app).table().into_iter().filter(|row| !is_page(row)) {
        let segments = row.path.split('/').map(|segment| if segment.starts_with('{') { ABSENT } else { segment });
        let path = segments.collect::<Vec<_>>().join("/");
        addresses.entry(path).or_default().insert(row.method, row.access);
    }
    assert!(addresses.len() > 40, "the table has rows");
    addresses.into_iter().map(|(path, access)| Address { path, access }).collect()
}

/// Sends a method with a body that is an empty object; with TRACE a body is not allowed.
async fn send(client: &Client, method: &str, path: &str) -> Answer {
    let body = json!({});
    // From the root of the server, whatever the address.
    client
        .send(Method::from_bytes(method.as_bytes()).unwrap(), &format!("/api/..{path}"), (method != "TRACE").then_some(&body))
        .await
}

/// Checks what the standards and the house rules ask of every answer.
#[track_caller]
fn check_headers(answer: &Answer, method: &str, request: &str) {
    for (name, value) in SECURITY {
        assert_eq!(answer.headers.get(name).map(|value| value.to_str().unwrap()), Some(value), "{request}: {name}");
    }
    assert_eq!(answer.header("cache-control").split(',').next(), Some("no-store"), "{request}");
    assert!(!answer.header("x-request-id").is_empty(), "{request}");
    assert!(answer.header("vary").split(", ").any(|name| name == "Origin"), "{request}");
    for name in ["server", "x-powered-by", "access-control-allow-credentials"] {
        assert_eq!(answer.header(name), "", "{request}: {name}");
    }
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN, "{request}");
    let exposed = answer.header("access-control-expose-headers").to_lowercase();
    let is_known = |name: &str| {
        name == "access-control-expose-headers"
            || NOT_EXPOSED.contains(&name)
            || SECURITY.iter().any(|(known, _)| *known == name)
            || exposed.split(", ").any(|exposed| exposed == name)
    };
    let hidden: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).filter(|name| !is_known(name)).collect();
    assert_eq!(hidden, Vec::<&str>::new(), "{request}: pages cannot read these");
    let has = |name: &str| !answer.header(name).is_empty();
    match answer.status {
        401 => assert!(has("www-authenticate"), "{request}"),
        405 => assert!(has("allow"), "{request}"),
        429 | 503 => assert!(has("retry-after"), "{request}"),
        _ => {}
    }
    if method == "HEAD" || answer.status == 204 {
        assert_eq!(answer.text, "", "{request}");
    } else if answer.status >= 400 && answer.header("content-type") != "application/json" {
        // A probe that is refused says why in its own words.
        assert_eq!(answer.header("content-type"), "application/problem+json", "{request}");
        assert_eq!(answer.body["requestId"], answer.header("x-request-id"), "{request}");
    }
}

/// What a request has to be answered with.
#[derive(Debug, PartialEq)]
enum Expected {
    Options,
    NoSuchMethod,
    Unauthenticated,
    Forbidden,
    /// Whatever the handler says.
    Admitted,
}

/// What a caller who has permissions, or none without a valid token, is answered with.
fn expected(address: &Address, method: &str, permissions: Option<&Value>) -> Expected {
    let access = address.access.get(if method == "HEAD" { "GET" } else { method });
    match (access, permissions) {
        _ if method == "OPTIONS" => Expected::Options,
        (None, _) => Expected::NoSuchMethod,
        (Some(&"public"), _) => Expected::Admitted,
        (Some(_), None) => Expected::Unauthenticated,
        (Some(access), Some(permissions)) => {
            let permission = Permission::ALL.into_iter().find(|known| format!("{known:?}") == **access);
            let name = permission.unwrap_or_else(|| panic!("{access} is no permission")).name();
            let has = permissions.as_array().unwrap().iter().any(|permission| permission == name);
            if has { Expected::Admitted } else { Expected::Forbidden }
        }
    }
}

#[track_caller]
fn check(address: &Address, method: &str, expected: &Expected, answer: &Answer, caller: &str) {
    let request = format!("{method} {} by {caller}: {} {}", address.path, answer.status, answer.text);
    check_headers(answer, method, &request);
    let is_public = address.access.get(if method == "HEAD" { "GET" } else { method }) == Some(&"public");
    match expected {
        Expected::Options => assert_eq!((answer.status, answer.header("allow")), (204, &*address.allow()), "{request}"),
        Expected::NoSuchMethod => assert_eq!((answer.status, answer.header("allow")), (405, &*address.allow()), "{request}"),
        Expected::Unauthenticated => assert_eq!(answer.status, 401, "{request}"),
        Expected::Forbidden => assert_eq!(answer.status, 403, "{request}"),
        Expected::Admitted => {
            assert_ne!(answer.status, 405, "{request}");
            assert!(is_public || !matches!(answer.status, 401 | 403), "{request}");
            assert!(answer.status < 500 || answer.status == 503, "{request}");
            assert_ne!(answer.body["detail"], "address not found", "{request}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_of_every_address_admits_its_roles_and_no_others() {
    let test = TestApp::start_api(&["--cors-origin", ORIGIN]).await;
    let addresses = addresses(&test);
    let page = test.anonymous().with("origin", ORIGIN);
    let strangers = [
        ("no token", page.clone()),
        ("no session", page.with_token("eyJhbGciOiJub25lIn0.e30.")),
        ("another scheme", page.with("authorization", "Basic YWRtaW46YWRtaW4xMjM=")),
    ];
    for (caller, client) in strangers {
        for address in &addresses {
            for method in METHODS {
                let answer = send(&client, method, &address.path).await;
                check(address, method, &expected(address, method, None), &answer, caller);
            }
        }
    }
    for role in ROLES {
        let sign_in = async || test.client(role).await.with("origin", ORIGIN);
        let mut client = sign_in().await;
        let permissions = client.get("/auth/profile").await.expect(200)["permissions"].clone();
        for address in &addresses {
            for method in METHODS {
                let answer = send(&client, method, &address.path).await;
                check(address, method, &expected(address, method, Some(&permissions)), &answer, role.as_str());
                // What changes something may also have ended the session.
                if answer.status < 300
                    && !matches!(method, "GET" | "HEAD" | "OPTIONS")
                    && client.get("/auth/profile").await.status == 401
                {
                    client = sign_in().await;
                }
            }
        }
    }
}

#[tokio::test]
async fn every_address_wants_to_know_its_host_and_only_addresses_answer() {
    let test = TestApp::start_api(&["--cors-origin", ORIGIN]).await;
    let admin = test.admin().await.with("origin", ORIGIN);
    for address in addresses(&test) {
        let answer = Wire::exchange(test.address(), format!("GET {} HTTP/1.1\r\nConnection: close\r\n\r\n", address.path)).await;
        assert_eq!(status(&answer), 400, "{}: {answer}", address.path);
        for unknown in [format!("{}/absent/absent/absent", address.path), format!("/{}", address.path)] {
            let answer = send(&admin, "GET", &unknown).await;
            assert_eq!((answer.status, &answer.body["detail"]), (404, &json!("address not found")), "{unknown}");
            check_headers(&answer, "GET", &unknown);
        }
    }
}

/// A kind of record that belongs to its owner: how its addresses begin, and what makes one.
type Owned = (&'static str, fn() -> Value);

/// Every kind of record that belongs to its owner.
const OWNED: [Owned; 1] =
    [("/api/v1/saved-searches/{", || json!({ "name": "Mine", "collection": "accounts", "query": "status=open" }))];

/// What an answer says, but for what is of its request alone.
fn said(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    if let Some(members) = body.as_object_mut() {
        for member in ["requestId", "timestamp", "instance", "path"] {
            members.remove(member);
        }
    }
    json!({ "status": answer.status, "body": body })
}

#[tokio::test]
async fn what_another_user_owns_looks_like_what_does_not_exist() {
    let test = TestApp::start_api(&[]).await;
    let (owner, stranger) = (test.agent().await, test.agent().await);
    for (start, new) in OWNED {
        let list = start.trim_end_matches("/{");
        let id = owner.post(list, &new()).await.expect(201)["id"].as_str().unwrap().to_owned();
        let rows: Vec<_> = server::routes(&test.app).table().into_iter().filter(|row| row.path.starts_with(start)).collect();
        assert!(rows.len() >= 3, "{start}");
        for row in rows {
            let path_of = |id: &str| {
                let segments = row.path.split('/').map(|segment| if segment.starts_with('{') { id } else { segment });
                segments.collect::<Vec<_>>().join("/")
            };
            let foreign = send(&stranger, &row.method, &path_of(&id)).await;
            let absent = send(&stranger, &row.method, &path_of(ABSENT)).await;
            assert_eq!(foreign.status, 404, "{} {}", row.method, row.path);
            assert_eq!(said(&foreign), said(&absent), "{} {}", row.method, row.path);
        }
        owner.get(&format!("{list}/{id}")).await.expect(200);
    }
}
