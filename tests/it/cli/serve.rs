//! `collections serve` and `collections user`: first start, mistakes, stop.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::harness::client::Client;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::process::{command, free_port};

async fn run(mut command: Command) -> Output {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    tokio::time::timeout(Duration::from_secs(180), output).await.expect("the program ends").unwrap()
}

/// Runs `serve --only api`, which must fail, and returns its standard error.
async fn failure(mut command: Command) -> String {
    let output = run({
        command.args(["serve", "--only", "api"]);
        command
    })
    .await;
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{text}");
    text
}

#[tokio::test]
async fn mistakes_of_an_operator_are_reported_in_one_line() {
    let database = Database::create().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cases: [(&[(&str, &str)], &str); 12] = [
        (&[("PORT", &taken.local_addr().unwrap().port().to_string())], "cannot listen on 127.0.0.1 port"),
        (&[("APP_ENV", "production")], "JWT_SECRET is not set"),
        (&[("APP_ENV", "production"), ("JWT_SECRET", "short")], "JWT_SECRET has 5 bytes"),
        (&[("DATABASE_URL", "nonsense")], "DATABASE_URL is not an address of Postgres"),
        (&[("DATABASE_URL", &format!("{}_missing", database.url))], "does not exist"),
        // An empty address means that there is no Elasticsearch.
        (&[("ELASTICSEARCH_URL", ""), ("DATABASE_URL", &format!("{}_missing", database.url))], "does not exist"),
        (&[("ELASTICSEARCH_URL", "nonsense")], "ELASTICSEARCH_URL is not an address of Elasticsearch"),
        (&[("REDIS_URL", "nonsense")], "REDIS_URL is not an address of Redis"),
        (&[("HTTP_MAX_IN_FLIGHT", "18446744073709551615")], "takes a whole number from 1 to 100000"),
        (&[("DB_POOL_SIZE", "0")], "takes a whole number from 1 to 1000"),
        (&[("SEARCH_TIMEOUT", "1d")], "takes a duration from 1ms to 1m"),
        (&[("DEFAULT_REGION", "Atlantis")], "takes a country code of ISO 3166-1"),
    ];
    for (settings, expected) in cases {
        let mut command = command(&database);
        command.env("PORT", "0").envs(settings.iter().copied());
        let text = failure(command).await;
        assert!(text.contains(expected), "{settings:?}: {text}");
    }
}

#[tokio::test]
async fn settings_of_other_systems_are_taken_or_explained() {
    let database = Database::create().await;
    let port = free_port().await.to_string();
    let file = std::env::temp_dir().join(format!("{}.env", database.name));
    std::fs::write(&file, format!("DB_HOST=127.0.0.1\nDB_PORT={port}\nMAX_WORKERS=0\n")).unwrap();
    let mut command = command(&database);
    command.env_remove("DATABASE_URL").args(["user", "list", "--config", file.to_str().unwrap()]);
    command
        .env("DB_USERNAME", "ann")
        .env("DB_PASSWORD", "secret")
        .env("MONGODB_URI", "mongodb://db")
        .env("NODE_ENV", "production");
    let output = run(command).await;
    let told = String::from_utf8(output.stderr).unwrap();
    for expected in [
        "warning: MAX_WORKERS is not used: ",
        "warning: MONGODB_URI is not used: ",
        "warning: not used beside APP_ENV: NODE_ENV",
        "error: the database is not available",
    ] {
        assert_eq!(told.lines().filter(|line| line.starts_with(expected)).count(), 1, "{expected}: {told}");
    }
    assert!(!told.contains("secret"), "{told}");
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_weak_secret_is_a_warning_outside_of_production() {
    let database = Database::create().await;
    let cases = [
        (None, "JWT_SECRET is not set"),
        (Some(""), "JWT_SECRET is empty"),
        (Some("short"), "JWT_SECRET is short"),
        (Some("only-for-development-and-publicly-known"), "JWT_SECRET is the public key"),
    ];
    for (secret, expected) in cases {
        let mut command = command(&database);
        // It ends by itself, after the warning.
        command.args(["serve", "--only", "api"]).env("PORT", "0").env("DATABASE_URL", format!("{}_missing", database.url));
        command.env_remove("JWT_SECRET").envs(secret.map(|secret| ("JWT_SECRET", secret)));
        let output = run(command).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().any(|line| line.contains("WARN") && line.contains(expected)), "{secret:?}: {text}");
    }
}

#[tokio::test]
async fn settings_come_from_a_file_and_unknown_ones_are_refused() {
    let database = Database::create().await;
    let file = std::env::temp_dir().join(format!("{}.conf", database.name));
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("# limits\nHTTP_BODY_LIMITS=5\n");
    let mut typed = command(&database);
    typed.arg("--config").arg(&file);
    let text = failure(typed).await;
    assert!(text.contains("line 2: unknown setting HTTP_BODY_LIMITS; did you mean HTTP_BODY_LIMIT?"), "{text}");

    write("DATABASE_URL=\"nonsense\"\nPORT=0\n");
    let mut from_file = command(&database);
    from_file.env_remove("DATABASE_URL").arg("--config").arg(&file);
    let text = failure(from_file).await;
    assert!(text.contains("DATABASE_URL is not an address"), "{text}");
    let mut environment_wins = command(&database);
    environment_wins.env("APP_ENV", "production").arg("--config").arg(&file);
    assert!(failure(environment_wins).await.contains("JWT_SECRET is not set"));
    std::fs::remove_file(&file).ok();

    let mut mistyped = command(&database);
    mistyped.env("HTTP_MAX_INFLIGHT", "1").env("DATABASE_URL", "nonsense");
    let text = failure(mistyped).await;
    assert!(
        text.contains("warning: the environment variable HTTP_MAX_INFLIGHT is not a setting; did you mean HTTP_MAX_IN_FLIGHT?")
    );
}

#[tokio::test]
async fn the_first_start_prints_a_password_once_and_sigterm_stops_cleanly() {
    let database = Database::create().await;
    let (first, log) = live(&database, async |client, lines| {
        let line = lines.iter().find(|line| line.starts_with("first start: ")).cloned().unwrap_or_default();
        let password = line.rsplit(' ').next().unwrap().to_owned();
        let answer = client.post("/auth/login", &json!({ "username": "admin", "password": password })).await.expect(200);
        client.get("/auth/login?email=jane@example.org").await.expect(405);
        client.get("/customers/4111111111111111").await.expect(404);
        let token = answer["access_token"].as_str().unwrap().to_owned();
        (password, token)
    })
    .await;
    assert_eq!(first.0.len(), 24);
    for line in &log {
        for personal in ["jane@example.org", "4111111111111111", &first.1] {
            assert!(!line.contains(personal), "{line}");
        }
    }
    let answered: Vec<Value> = log.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let login = answered.iter().find(|line| line["route"] == "/api/v1/auth/login" && line["status"] == 200).expect("a line");
    for member in ["method", "ms", "request_id", "user_id", "timestamp", "level"] {
        assert!(!login[member].is_null(), "{member} in {login}");
    }
    let (_, log) = live(&database, async |_, _| ()).await;
    assert!(!log.iter().any(|line| line.starts_with("first start: ")), "{log:?}");
}

/// Runs a production server during `talk`, stops it with SIGTERM, and returns its log.
async fn live<T>(database: &Database, talk: impl AsyncFnOnce(Client, &[String]) -> T) -> (T, Vec<String>) {
    let port = free_port().await;
    let mut command = command(database);
    command
        .args(["serve", "--only", "api"])
        .env("PORT", port.to_string())
        .env("APP_ENV", "production")
        .env("JWT_SECRET", "a secret of the tests that is long enough")
        .env("SHUTDOWN_DELAY", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let client = Client::new(format!("http://127.0.0.1:{port}"));
    let mut log = Vec::new();
    let prepared = async {
        while !log.last().is_some_and(|line: &String| line.contains("postgres is ready")) {
            log.push(lines.next_line().await.unwrap().expect("the server runs"));
        }
    };
    tokio::time::timeout(Duration::from_secs(180), prepared).await.expect("the server has made the first user, if any");
    let outcome = talk(client, &log).await;
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    while let Ok(Some(line)) = lines.next_line().await {
        log.push(line);
    }
    let status = tokio::time::timeout(Duration::from_secs(180), child.wait()).await.expect("the server ends").unwrap();
    assert!(status.success());
    (outcome, log)
}

#[tokio::test]
async fn users_are_added_changed_and_listed_by_the_command() {
    let test = crate::harness::app::TestApp::start_api(&[]).await;
    let type_password = async |arguments: &[&str], password: &str| {
        let mut command = command(&test.database);
        command.arg("user").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, format!("{password}\n").as_bytes()).await.ok();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let login =
        async |password: &str| test.anonymous().post("/auth/login", &json!({ "username": "kim", "password": password })).await;
    assert!(type_password(&["add", "kim", "--role", "manager"], "first password").await.0);
    let token = login("first password").await.expect(200)["token"].as_str().unwrap().to_owned();
    let (added, text) = type_password(&["add", "KIM"], "first password").await;
    assert!(!added && text.contains("a user with this name exists"), "{text}");
    let (added, text) = type_password(&["add", "lee"], "short").await;
    assert!(!added && text.contains("at least 8 characters"), "{text}");
    let (changed, text) = type_password(&["passwd", "kim"], "second password").await;
    assert!(changed && text.contains("ended all sessions"), "{text}");
    login("first password").await.expect(401);
    login("second password").await.expect(200);
    assert!(type_password(&["list"], "").await.1.contains("kim"));
    let former = test.anonymous().with_token(&token);
    eventually("the session has ended", async || former.get("/auth/me").await.status == 401).await;
}
