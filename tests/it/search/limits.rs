//! A search cannot stop a server: what would cost too much is refused, and what costs much holds up its caller alone.

use collections::auth::Role;
use futures_util::future::join_all;
use serde_json::json;
use sqlx::Executor as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

use super::lists::{ENGINES, Lists};
use crate::harness::app::{TestApp, elasticsearch_url};
use crate::harness::eventually::eventually;

const ROWS: &str = "insert into customers (id, name) values (gen_random_uuid(), 'Ada Lovelace')";

#[tokio::test]
async fn what_costs_too_much_is_refused_alike() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        let words = |count: usize, length: usize| vec!["a".repeat(length); count].join("+");
        let sort = |count: usize| vec!["-name"; count].join(",");
        for (query, named) in [
            (format!("q={}", words(12, 250)), "200 characters"),
            (format!("q={}", words(13, 2)), "12 words"),
            ("q=a%00b@example.com".into(), "NUL"),
            ("externalId=%00".into(), "NUL"),
            (format!("externalId[prefix]={}", "a".repeat(12_000)), "200 characters"),
            (format!("name={}", "a".repeat(251)), "250 characters"),
            (format!("name[prefix]={}", "%EF%B7%BA".repeat(20)), "200 characters"),
            (format!("status={}", vec!["active"; 501].join(",")), "500 values"),
            (format!("sort={}", sort(1_700)), "8 keys"),
            (format!("sort={}&sort={}", sort(5), sort(4)), "8 keys"),
            (vec!["kind=person"; 31].join("&"), "30 conditions"),
        ] {
            let body = lists.client.get(&format!("/customers?{query}")).await.expect(400);
            assert!(body["detail"].as_str().unwrap().contains(named), "{named}: {body}");
        }
        for token in ["FFFFFFFF/FFFFFFFF", "FFFFFFFF/0"] {
            let answer = lists.client.with("x-sync-token", token).get("/customers").await;
            assert_eq!((answer.status, answer.code()), (400, "bad_sync_token"), "{token}");
        }
        // Up to the limits it is answered, and by the engine that has to.
        for query in [
            format!("q={}", words(12, 15)),
            format!("q={}", words(4, 40)),
            format!("q={}", words(1, 200)),
            format!("q={}1", "%ED%95%9C".repeat(199)),
            format!("q={}", "%EF%B7%BA".repeat(3)),
            format!("externalId[prefix]={}", "%F0%9F%98%80".repeat(200)),
            format!("name[prefix]={}", "%ED%95%9C".repeat(66)),
            format!("name={}", "%EF%B7%BA".repeat(250)),
            format!("status={}", vec!["active"; 500].join(",")),
            format!("sort={}", sort(8)),
            vec!["kind=person"; 30].join("&"),
        ] {
            lists.values(&format!("/customers?{query}"), "id").await;
        }
    }
}

#[tokio::test]
async fn known_names_are_told_once() {
    let test = TestApp::start_api(&[]).await;
    let client = test.admin().await;
    let unknown: Vec<String> = (0..90).map(|number| format!("x{number}=1&sort=x{number}")).collect();
    let body = client.get(&format!("/accounts?{}", unknown.join("&"))).await.expect(400);
    let text = body.to_string();
    // In `detail`, and the same in `message`.
    assert_eq!((text.matches("known are").count(), text.matches("sorted by account").count()), (2, 2), "{text}");
    assert!(text.len() < 65_536, "{}", text.len());
}

/// A proxy that never answers requests which contain a word, and passes on all others.
async fn proxy_that_hangs_on(word: &'static str, target: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, target) = (format!("http://{}", listener.local_addr().unwrap()), target.replace("http://", ""));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move {
                let ((mut asked, mut answered), (mut answers, mut questions)) = (client.split(), server.split());
                let ask = async {
                    let mut chunk = vec![0; 65_536];
                    while let Ok(length @ 1..) = asked.read(&mut chunk).await {
                        if String::from_utf8_lossy(&chunk[..length]).contains(word) {
                            std::future::pending::<()>().await;
                        }
                        questions.write_all(&chunk[..length]).await.unwrap();
                    }
                };
                tokio::select! {
                    () = ask => {}
                    _ = copy(&mut answers, &mut answered) => {}
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn searches_that_take_too_long_do_not_turn_others_away_from_elasticsearch() {
    let url = proxy_that_hangs_on("lovelace", &elasticsearch_url()).await;
    let test = TestApp::start_with(&["--elasticsearch-url", &url, "--search-timeout", "2s"]).await;
    let [slow, other] = [test.client(Role::Viewer).await, test.client(Role::Viewer).await];
    let answers = join_all((0..6).map(|_| slow.get("/customers?familyName=lovelace"))).await;
    for body in answers.into_iter().map(|answer| answer.expect(200)) {
        assert_eq!((&body["engine"], &body["degraded"]), (&json!("postgres"), &json!(true)), "{body}");
    }
    for path in ["/customers", "/accounts?q=turing", "/payments"] {
        assert_eq!(other.get(path).await.expect(200)["engine"], "elasticsearch", "{path}");
    }
}

#[tokio::test]
async fn a_caller_cannot_take_all_connections_for_searches() {
    let test = TestApp::start_api(&[]).await;
    let [slow, other] = [test.client(Role::Viewer).await, test.client(Role::Viewer).await];
    // Lists of customers show addresses and wait for this; lists of payments do not.
    test.database.pool.execute(ROWS).await.unwrap();
    let mut lock = test.database.pool.begin().await.unwrap();
    lock.execute("lock table addresses in access exclusive mode").await.unwrap();
    let many = tokio::spawn(async move { join_all((0..12).map(|_| slow.get("/customers"))).await });
    let waiting = async || -> i64 {
        let sql = "select count(*) from pg_locks join pg_database d on d.oid = database
            where datname = current_database() and relation = 'addresses'::regclass and not granted";
        sqlx::query_scalar(sql).fetch_one(&test.database.pool).await.unwrap()
    };
    eventually("the lists wait", async || waiting().await >= 4).await;
    other.get("/payments").await.expect(200);
    assert!(waiting().await <= 4);
    lock.rollback().await.unwrap();
    let statuses: Vec<u16> = many.await.unwrap().iter().map(|answer| answer.status).collect();
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
}
