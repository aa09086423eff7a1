//! Uploads and downloads on routes that only this test has.

use std::fmt::Write as _;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use collections::api::files::{self, Form};
use collections::api::{Reply, Request, json};
use collections::app::App;
use collections::auth::public;
use collections::error::{Error, Result};
use collections::http::{self, Routes};
use collections::operation::{Nothing, Text};
use collections::routes;
use futures_util::future::join_all;
use serde_json::json as value;
use tokio::time::timeout;

use crate::harness::app::TestApp;
use crate::harness::eventually::eventually;
use crate::harness::raw_socket::{Wire, body, status};

const LIMIT: u64 = 4 * 1024 * 1024;
const FORM: Form = Form { file: "file", fields: &["target", "mode"] };

fn rows(app: &App) -> Routes {
    routes! { app, "it";
        post ("upload")    public up_to(LIMIT) within(Duration::from_secs(20)) => upload: Nothing -> Text;
        get  ("file")      public => file: Nothing -> Text;
        get  ("generated") public => generated: Nothing -> Text;
        get  ("broken")    public => broken: Nothing -> Text;
    }
}

async fn upload(mut request: Request) -> Result<Reply> {
    let mut upload = request.upload(&FORM).await?;
    let mut transaction = request.app.db.server.begin().await?;
    sqlx::query("select 1").execute(&mut *transaction).await?;
    let mut read = Vec::new();
    upload.file.read_to_end(&mut read).map_err(Error::internal)?;
    assert_eq!(read.len() as u64, upload.bytes);
    let digest = upload.sha256.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let format = format!("{:?}", upload.format);
    transaction.commit().await?;
    json(&value!({ "name": upload.name, "bytes": upload.bytes, "sha256": digest, "format": format, "fields": upload.fields }))
}

const FILE_BYTES: usize = 3 * 1024 * 1024;

async fn file(_request: Request) -> Result<Reply> {
    let mut file = tempfile::tempfile().map_err(Error::internal)?;
    file.write_all(&vec![b'x'; FILE_BYTES]).and_then(|()| file.rewind()).map_err(Error::internal)?;
    files::file("März.csv", "text/csv; charset=utf-8", file)
}

/// Chunks of the endless downloads that were handed on, and downloads that have ended.
static HANDED_ON: AtomicUsize = AtomicUsize::new(0);
static ENDED: AtomicUsize = AtomicUsize::new(0);

struct CountsItsEnd;

impl Drop for CountsItsEnd {
    fn drop(&mut self) {
        ENDED.fetch_add(1, Ordering::Relaxed);
    }
}

async fn generated(_request: Request) -> Result<Reply> {
    Ok(files::generated("all.csv", "text/csv", |sink| async move {
        let _end = CountsItsEnd;
        loop {
            sink.send(vec![b'x'; 64 * 1024]).await;
            HANDED_ON.fetch_add(1, Ordering::Relaxed);
        }
    }))
}

async fn broken(_request: Request) -> Result<Reply> {
    Ok(files::generated("all.csv", "text/csv", |sink| async move {
        sink.send("first\n").await;
        Err(Error::internal("the second cannot be had"))
    }))
}

async fn start(tune: impl FnOnce(&mut collections::config::Config)) -> (TestApp, SocketAddr) {
    let test = TestApp::start_api_tuned(&[], tune).await;
    let socket = http::bind(&test.app.config.http).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(http::listen(test.app.clone(), socket, rows(&test.app)));
    (test, address)
}

const HEAD: &str =
    "POST /it/upload HTTP/1.1\r\nHost: it\r\nContent-Type: multipart/form-data; boundary=XX\r\nConnection: close\r\n";
const FILE: &str = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../a b.csv\"\r\n\r\n";

fn part(name: &str, text: &str) -> String {
    format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
}

/// Sends a form with its length.
async fn post(address: SocketAddr, form: &str) -> String {
    let mut wire = Wire::open(address).await;
    wire.try_send(format!("{HEAD}Content-Length: {}\r\n\r\n{form}", form.len()).as_bytes()).await;
    wire.try_answer(false).await
}

/// Sends a form without its length, then more and more; answers what came back, and how much could be sent.
async fn pour(address: SocketAddr, form: &str, more: &[u8]) -> (String, usize) {
    const MOST: usize = 64 * 1024 * 1024;
    let mut wire = Wire::open(address).await;
    wire.send(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{form}\r\n", form.len())).await;
    let mut chunk = format!("{:x}\r\n", more.len()).into_bytes();
    chunk.extend_from_slice(more);
    chunk.extend_from_slice(b"\r\n");
    let mut sent = 0;
    let mut is_answered = false;
    while sent < MOST && !is_answered && wire.has_sent(&chunk).await {
        is_answered = timeout(Duration::from_millis(1), wire.readable()).await.is_ok();
        sent += more.len();
    }
    (wire.try_answer(false).await, sent)
}

/// Files that this process has open without a name.
fn unnamed_files() -> usize {
    let temporary = std::env::temp_dir();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    open.filter(|path| path.starts_with(&temporary) && path.to_string_lossy().ends_with("(deleted)")).count()
}

#[tokio::test]
async fn a_form_is_stored_with_its_digest_and_its_texts() {
    let (_test, address) = start(|_| ()).await;
    let form = format!("{}{FILE}name;phone\r\nAnn;1\r\n{}--XX--\r\n", part("target", "customers"), part("mode", "upsert"));
    let answer = post(address, &form).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let stored = body(&answer);
    assert_eq!(stored["sha256"], "eb446c9dd61256bec2b1e6ba8592cbea250fb9b8abd1d25c4299755cd69959c4", "{stored}");
    let expected = value!({ "target": "customers", "mode": "upsert" });
    assert_eq!(
        (&stored["name"], &stored["bytes"], &stored["format"], &stored["fields"]),
        (&value!("a b.csv"), &value!(17), &value!("Text"), &expected)
    );
}

#[tokio::test]
async fn a_form_that_cannot_be_read_is_refused_and_says_why() {
    let (_test, address) = start(|_| ()).await;
    let twice = format!("{FILE}a\r\n{FILE}b\r\n--XX--\r\n");
    let many_texts = format!("{}{}{FILE}a\r\n--XX--\r\n", part("mode", "a"), part("mode", "b"));
    let long_text = format!("{}{FILE}a\r\n--XX--\r\n", part("mode", &"x".repeat(5_000)));
    let large = format!("{FILE}{}\r\n--XX--\r\n", "x".repeat(5 * 1024 * 1024));
    for (form, expected, code) in [
        (&*format!("{FILE}a\r\n"), 400, "broken_body"),
        (FILE, 400, "broken_body"),
        ("", 400, "broken_body"),
        ("nothing of the sort", 400, "broken_body"),
        (&format!("{}--XX--\r\n", part("mode", "a")), 422, "invalid"),
        (&format!("{}{FILE}a\r\n--XX--\r\n", part("other", "a")), 400, "bad_form"),
        (&twice, 400, "bad_form"),
        (&many_texts, 400, "bad_form"),
        (&long_text, 413, "too_large"),
        (&large, 413, "too_large"),
        ("--XX\r\nContent-Disposition: \u{1}\r\n\r\na\r\n--XX--\r\n", 400, "bad_form"),
    ] {
        let answer = post(address, form).await;
        let shown: String = form.chars().take(60).collect();
        assert_eq!((status(&answer), &body(&answer)["code"]), (expected, &value!(code)), "{shown}: {answer}");
    }
    let json = post_as(address, "application/json").await;
    let unbounded = post_as(address, "multipart/form-data").await;
    assert_eq!((status(&json), status(&unbounded)), (415, 415));
    eventually("no file is open", async || unnamed_files() == 0).await;
}

async fn post_as(address: SocketAddr, content_type: &str) -> String {
    let head = format!(
        "POST /it/upload HTTP/1.1\r\nHost: it\r\nContent-Type: {content_type}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    Wire::exchange(address, head).await
}

/// What the server takes of a body that it refuses is little more than what the kernel keeps for a connection.
#[tokio::test(flavor = "multi_thread")]
async fn an_endless_form_is_refused_before_it_takes_memory() {
    const TAKEN: usize = 16 * 1024 * 1024;
    let (_test, address) = start(|_| ()).await;
    let block = vec![b'x'; 64 * 1024];
    let head = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"";
    let empty_parts = part("other", "").repeat(500);
    for (what, form, more, code) in [
        ("preamble", "begins", &block[..], "bad_form"),
        ("head of a part", head, &block, "bad_form"),
        ("parts", &part("other", ""), empty_parts.as_bytes(), "bad_form"),
        ("file", FILE, &block, "too_large"),
    ] {
        let (answer, sent) = pour(address, form, more).await;
        assert!(sent < TAKEN, "{what}: {sent}");
        // If more was sent than read, the connection is reset, perhaps before the answer is read.
        assert!(answer.is_empty() || body(&answer)["code"] == code, "{what}: {answer}");
    }
    assert_eq!(status(&post(address, &format!("{FILE}a\r\n--XX--\r\n")).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_in_the_middle_leave_nothing_behind() {
    let (test, address) = start(|_| ()).await;
    let form = format!("{}{FILE}{}\r\n--XX--\r\n", part("mode", "a"), "x".repeat(200 * 1024));
    let whole = format!("{HEAD}Content-Length: {}\r\n\r\n{form}", form.len());
    for round in 0..20 {
        // Places are free again when the server has seen that its clients have left.
        let leaving = (0..10).map(|client| {
            let end = whole.len() * (round * 10 + client) / 200;
            let begin = whole.as_bytes()[..end].to_vec();
            async move { Wire::open(address).await.try_send(&begin).await }
        });
        join_all(leaving).await;
    }
    eventually("no file is open", async || unnamed_files() == 0).await;
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'";
    eventually("no transaction is open", async || {
        let open: i64 = sqlx::query_scalar(sql).fetch_one(&test.database.pool).await.unwrap();
        open == 0
    })
    .await;
    eventually("files are taken", async || status(&post(address, &form).await) == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_lose_their_place() {
    let (_test, address) = start(|config| config.http.body_timeout = Duration::from_millis(400)).await;
    let mut silent = Wire::open(address).await;
    silent.send(format!("{HEAD}Content-Length: 1000\r\n\r\n{FILE}")).await;
    assert_eq!(status(&silent.try_answer(false).await), 408);
    let mut slow = Wire::open(address).await;
    slow.send(format!("{HEAD}Content-Length: 1000\r\n\r\n{FILE}")).await;
    let dribble = async {
        for _ in 0..600 {
            slow.try_send(b"x").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = dribble => panic!("600 bytes in 30 seconds are too few"),
        () = async { eventually("it has lost its place", async || unnamed_files() == 0).await } => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_may_take_longer_than_other_requests() {
    let (_test, address) = start(|config| config.http.request_timeout = Duration::from_millis(300)).await;
    let mut wire = Wire::open(address).await;
    let end = "\r\n--XX--\r\n";
    let bytes = 20 * 1024;
    wire.send(format!("{HEAD}Content-Length: {}\r\n\r\n{FILE}", FILE.len() + bytes + end.len())).await;
    for _ in 0..20 {
        wire.send(vec![b'x'; bytes / 20]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    wire.send(end).await;
    let answer = wire.try_answer(false).await;
    assert_eq!((status(&answer), &body(&answer)["bytes"]), (200, &value!(bytes)), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_files_come_at_once_and_more_are_refused() {
    let (_test, address) = start(|_| ()).await;
    let form = format!("{FILE}a\r\n--XX--\r\n");
    let mut held = Vec::new();
    loop {
        let answer = post(address, &form).await;
        if status(&answer) == 503 {
            assert_eq!(body(&answer)["code"], "too_many_uploads");
            break;
        }
        // Its own place may be free again only after the next client has come.
        assert!(held.len() < 64, "{answer}");
        let mut wire = Wire::open(address).await;
        wire.send(format!("{HEAD}Content-Length: 1000\r\n\r\n{FILE}")).await;
        held.push(wire);
    }
    assert!(held.len() >= 15, "{} files come at once", held.len());
    drop(held);
    eventually("places are free", async || status(&post(address, &form).await) == 200).await;
}

#[tokio::test]
async fn a_file_is_downloaded_with_its_name_and_length() {
    let (_test, address) = start(|_| ()).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = http.get(format!("http://{address}/it/file")).send().await.unwrap();
    let disposition = response.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(disposition, "attachment; filename=\"M_rz.csv\"; filename*=UTF-8''M%C3%A4rz.csv");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.content_length(), Some(FILE_BYTES as u64));
    assert_eq!(response.bytes().await.unwrap().len(), FILE_BYTES);
    let head = http.head(format!("http://{address}/it/file")).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], FILE_BYTES.to_string());
    let broken = async { http.get(format!("http://{address}/it/broken")).send().await?.bytes().await };
    assert!(broken.await.is_err(), "the client sees that something is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_waits_for_its_client_and_ends_with_it() {
    let (_test, address) = start(|config| config.http.write_timeout = Duration::from_millis(1_500)).await;
    let ended = ENDED.load(Ordering::Relaxed);
    let mut wire = Wire::open_narrow(address).await;
    wire.send("GET /it/generated HTTP/1.1\r\nHost: it\r\n\r\n").await;
    assert!(wire.read_some(1_000).await > 0);
    // It reads nothing any more. What lies between the task and the client is the kernel's and a few chunks.
    eventually("the client loses its connection, and the task ends", async || ENDED.load(Ordering::Relaxed) > ended).await;
    let handed_on = HANDED_ON.load(Ordering::Relaxed);
    assert!(handed_on < 1_000, "{handed_on} chunks of 64 KiB");
    let ended = ENDED.load(Ordering::Relaxed);
    let mut wire = Wire::open(address).await;
    wire.send("GET /it/generated HTTP/1.1\r\nHost: it\r\n\r\n").await;
    assert!(wire.read_some(1_000).await > 0);
    drop(wire);
    eventually("the task ends with its client", async || ENDED.load(Ordering::Relaxed) > ended).await;
}
