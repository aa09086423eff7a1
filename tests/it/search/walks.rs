//! Walks by cursor while rows change, the index is swapped and engines take turns: no row twice, no unchanged row missed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use collections::collections::find;
use collections::sync::generations::reconcile;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinHandle;

use super::lists::ENGINES;
use crate::harness::amount::amount;
use crate::harness::app::{Engine, TestApp, elasticsearch_url};
use crate::harness::client::{Answer, Client};
use crate::harness::eventually::{PATIENCE, eventually, within};
use crate::harness::proxy::{Mode, Proxy};

/// Rows of a walk, `WALK_ROWS=300000` makes more; two in five change or leave meanwhile.
fn rows() -> usize {
    amount("WALK_ROWS").unwrap_or(3_000)
}

/// A long walk outlasts a token.
const LONG_TOKENS: [&str; 2] = ["--jwt-expires-in", "2h"];

async fn fill(test: &TestApp, rows: usize) {
    let sql = format!(
        "insert into customers (id, external_id, name, created_at)
        select gen_random_uuid(), 'W-' || n, 'Walker ' || n, now() - (n % 100) * interval '1 hour' from generate_series(1, {rows}) as n"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&test.database.pool).await.unwrap();
    test.settle().await;
}

/// Changes and removes rows, and adds others, about a thousand a second, until it is aborted.
fn change(pool: PgPool) -> JoinHandle<()> {
    tokio::spawn(async move {
        let tens = rows() / 10;
        for round in 0.. {
            let sql = format!(
                "update customers set name = 'Changed {round}' where external_id in (
                    select 'W-' || 10 * (abs(hashtext(n || ' {round}')) % {tens}) + 3 * (1 + n % 3) from generate_series(1, 20) as n);
                update customers set deleted_at = now() where external_id = 'W-' || 10 * (abs(hashtext('{round}')) % {tens});
                insert into customers (id, external_id, name) values (gen_random_uuid(), 'N-{round}', 'Newcomer')"
            );
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

/// A walk in progress.
struct Walk<'a> {
    client: &'a Client,
    list: String,
    cursor: Option<String>,
    walked: Vec<Value>,
    engines: HashSet<String>,
}

impl<'a> Walk<'a> {
    fn new(client: &'a Client, list: &str) -> Self {
        Self { client, list: list.to_owned(), cursor: None, walked: Vec::new(), engines: HashSet::new() }
    }

    async fn ask(&self) -> Answer {
        let cursor = self.cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        self.client.get(&format!("{}{cursor}", self.list)).await
    }

    /// Reads one page; returns whether another follows.
    async fn step(&mut self) -> bool {
        let body = self.ask().await.expect(200);
        self.walked.extend(body["data"].as_array().unwrap().iter().map(|row| row["externalId"].clone()));
        self.engines.insert(body["engine"].as_str().unwrap().to_owned());
        self.cursor = body["nextCursor"].as_str().map(str::to_owned);
        self.cursor.is_some()
    }

    async fn finish(mut self) -> Self {
        while self.step().await {}
        self
    }

    fn expect_each_once(&self) {
        let once: HashSet<&str> = self.walked.iter().map(|id| id.as_str().unwrap()).collect();
        assert_eq!(once.len(), self.walked.len(), "a row came twice");
        let is_unchanged = |number: &usize| !matches!(number % 10, 0 | 3 | 6 | 9);
        let missed: Vec<usize> =
            (1..=rows()).filter(|number| is_unchanged(number) && !once.contains(&*format!("W-{number}"))).collect();
        assert_eq!(missed, Vec::<usize>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_shows_each_row_once_while_others_change() {
    for engine in ENGINES {
        let test = TestApp::start_on_with(engine, &LONG_TOKENS).await;
        fill(&test, rows()).await;
        let client = test.admin().await;
        let changing = change(test.database.pool.clone());
        for list in ["/customers?limit=100", "/customers?sort=externalId&limit=1000&count=none"] {
            Walk::new(&client, list).finish().await.expect_each_once();
        }
        changing.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_goes_on_in_the_index_that_is_swapped_in() {
    let test = TestApp::start_with(&LONG_TOKENS).await;
    fill(&test, rows()).await;
    let client = test.admin().await;
    let changing = change(test.database.pool.clone());
    let mut walk = Walk::new(&client, "/customers?limit=50");
    let mut frozen = Walk::new(&client, "/customers?limit=50&view=frozen&sort=-updatedAt");
    for _ in 0..10 {
        assert!(walk.step().await && frozen.step().await);
    }
    let collection = find("customers").unwrap();
    let live = || async { test.app.watermark.live_index("customers").await.map(|index| index.name) };
    let before = live().await;
    reconcile::request(&test.app, collection).await.unwrap();
    let patience = PATIENCE + Duration::from_millis(5) * u32::try_from(rows()).unwrap();
    let mut seen = Instant::now();
    within(patience, "another index is live", async || {
        // A view that is not asked for ends.
        if seen.elapsed() > Duration::from_secs(20) {
            seen = Instant::now();
            assert!(frozen.step().await);
        }
        live().await.is_some_and(|live| Some(live) != before)
    })
    .await;
    let (walk, frozen) = tokio::join!(walk.finish(), frozen.finish());
    walk.expect_each_once();
    frozen.expect_each_once();
    changing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_goes_on_when_the_engine_changes() {
    let (proxy, url) = Proxy::before(&elasticsearch_url()).await;
    let settings = ["--elasticsearch-url", &url, "--search-timeout", "2s"];
    let test = TestApp::start_with(&[&settings[..], &LONG_TOKENS].concat()).await;
    fill(&test, rows()).await;
    let client = test.admin().await;
    let changing = change(test.database.pool.clone());
    let mut walks = ["createdAt", "-name", "dateOfBirth,-updatedAt"]
        .map(|sort| Walk::new(&client, &format!("/customers?limit=100&sort={sort}&name[prefix]=walker")));
    let mut frozen = Walk::new(&client, "/customers?limit=1000&view=frozen");
    let mut scored = Walk::new(&client, "/customers?q=walker");
    for walk in &mut walks {
        assert!(walk.step().await);
    }
    assert!(frozen.step().await && scored.step().await);
    for mode in [Mode::Refuse, Mode::Pass, Mode::Refuse] {
        proxy.set(mode);
        let engine = if mode == Mode::Pass { "elasticsearch" } else { "postgres" };
        let is_changed = async || client.get("/customers?limit=1").await.expect(200)["engine"] == engine;
        eventually("the other engine answers", is_changed).await;
        for walk in &mut walks {
            for _ in 0..4 {
                walk.step().await;
            }
        }
    }
    assert_eq!((scored.ask().await.status, scored.ask().await.code()), (409, "cursor_expired"));
    assert_eq!((frozen.ask().await.status, frozen.ask().await.code()), (503, "view_unavailable"));
    let refused = client.get("/customers?view=frozen").await;
    assert_eq!((refused.status, refused.code()), (503, "view_unavailable"));
    assert!(!refused.header("retry-after").is_empty());

    // Before the view expires.
    proxy.set(Mode::Pass);
    eventually("elasticsearch answers again", async || frozen.ask().await.status == 200).await;
    frozen.finish().await.expect_each_once();

    proxy.set(Mode::Refuse);
    for walk in join_all(walks.map(Walk::finish)).await {
        assert_eq!(walk.engines.len(), 2, "{}", walk.list);
        // The changing rows leave the list.
        walk.expect_each_once();
    }
    changing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_view_shows_what_there_was_at_its_first_page() {
    let test = TestApp::start().await;
    fill(&test, 250).await;
    let client = test.admin().await;
    let first = client.get("/customers?view=frozen&sort=-updatedAt&limit=100").await;
    assert!(first.header("link").contains("view=frozen") && first.header("link").contains("cursor="), "{:?}", first.headers);
    let first = first.expect(200);
    assert_eq!((&first["view"], &first["total"]), (&json!("frozen"), &json!(250)));
    sqlx::raw_sql("update customers set name = 'Later'; insert into customers (id, name) values (gen_random_uuid(), 'New')")
        .execute(&test.database.pool)
        .await
        .unwrap();
    test.settle().await;
    assert_eq!(client.get("/customers?limit=1").await.expect(200)["total"], 251);

    let mut walk = Walk::new(&client, "/customers?sort=-updatedAt&limit=100");
    walk.cursor = first["nextCursor"].as_str().map(str::to_owned);
    let second = walk.ask().await.expect(200);
    assert_eq!((&second["view"], &second["indexedAt"], &second["total"]), (&json!("frozen"), &first["indexedAt"], &json!(250)));
    assert!(second["lagMs"].as_u64() > first["lagMs"].as_u64(), "{second}");
    assert!(second["data"].as_array().unwrap().iter().all(|row| row["name"] != "Later"), "{second}");
    walk.step().await;
    let before_last = walk.cursor.clone();
    assert!(!walk.step().await, "the third page is the last");
    assert_eq!(walk.walked.len(), 150);

    walk.cursor = before_last;
    eventually("the view ends with its last page", async || walk.ask().await.status == 409).await;
    assert_eq!(walk.ask().await.code(), "view_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_views_are_few_and_expire() {
    let pause = Duration::from_secs(5);
    let test = TestApp::start_tuned(&[], |config| config.search.view_keep_alive = pause).await;
    fill(&test, 20).await;
    let [client, other] = [test.admin().await, test.admin().await];
    let mut walks = [0, 1].map(|_| Walk::new(&client, "/customers?view=frozen&limit=9"));
    for walk in &mut walks {
        assert!(walk.step().await);
    }
    let refused = client.get("/customers?view=frozen&limit=9").await;
    assert_eq!((refused.status, refused.code(), refused.header("retry-after")), (503, "too_many_views", "5"));
    other.get("/customers?view=frozen&limit=9").await.expect(200);
    let [one, mut two] = walks;
    one.finish().await;
    client.get("/customers?view=frozen&limit=20").await.expect(200);
    client.get("/customers?view=frozen&limit=9").await.expect(200);

    test.clock.advance(chrono::TimeDelta::seconds(6));
    let expired = two.ask().await;
    assert_eq!((expired.status, expired.code()), (409, "view_expired"));
    two.cursor = None;
    eventually("expired views make room", async || two.ask().await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_a_thousand_records_and_no_more_than_sixteen_mebibytes() {
    for engine in ENGINES {
        let test = TestApp::start_on(engine).await;
        fill(&test, 1_001).await;
        let client = test.admin().await;
        let page = client.get("/customers?limit=1000&sort=externalId").await.expect(200);
        assert_eq!((page["data"].as_array().unwrap().len(), &page["limit"]), (1_000, &json!(1_000)), "{engine:?}");
        assert!(page["nextCursor"].is_string());
        let names: Vec<&str> = page["data"].as_array().unwrap().iter().map(|row| row["externalId"].as_str().unwrap()).collect();
        assert!(names.is_sorted(), "{engine:?}");

        let large = "update customers set metadata = json_build_object('note', repeat('x', 20000))";
        sqlx::raw_sql(large).execute(&test.database.pool).await.unwrap();
        test.settle().await;
        let refused = client.get("/customers?limit=1000").await;
        assert_eq!((refused.status, refused.code()), (400, "page_too_large"), "{engine:?}");
        client.get("/customers?limit=100").await.expect(200);
        let expected = if engine == Engine::Postgres { "postgres" } else { "elasticsearch" };
        assert_eq!(client.get("/customers").await.expect(200)["engine"], expected, "a large page is no outage");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_to_the_pages_around() {
    let test = TestApp::start_on(Engine::Postgres).await;
    fill(&test, 5).await;
    let client = test.admin().await;
    let relations = |answer: &Answer| -> Vec<String> {
        let links = answer.header("link").split(", ").filter(|link| !link.is_empty());
        links.map(|link| link.rsplit_once("rel=").unwrap().1.trim_matches('"').to_owned()).collect()
    };
    let target = |answer: &Answer, relation: &str| -> String {
        let links = answer.header("link").to_owned();
        let link = links.split(", ").find(|link| link.ends_with(&format!("rel=\"{relation}\""))).unwrap();
        link.trim_start_matches('<').split('>').next().unwrap().to_owned()
    };
    let first = client.get("/customers?limit=2&sort=externalId").await;
    assert_eq!(relations(&first), ["next"]);
    let second = client.get(&target(&first, "next")).await;
    assert_eq!(relations(&second), ["next", "first"]);
    assert_eq!(second.body["data"][0]["externalId"], "W-3");
    let back = client.get(&target(&second, "first")).await;
    assert_eq!(back.body["data"], first.body["data"]);
    let third = client.get("/customers?limit=2&sort=externalId&page=3").await;
    assert_eq!(relations(&third), ["prev", "first"]);
    assert_eq!(client.get(&target(&third, "prev")).await.body["data"], second.body["data"]);
}
