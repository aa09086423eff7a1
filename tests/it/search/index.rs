//! Indices on a real Elasticsearch: generations, the alias, bulk writes with versions.

use chrono::{DateTime, Utc};
use clap::Parser;
use collections::collections::ALL;
use collections::search::bulk::{self, Bulk, Outcome};
use collections::search::index::{self, Alias};
use collections::search::inventory::{self, Detail};
use collections::search::{Collection, Elastic, ElasticError, Template};
use collections::values::lsn::Version;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::database::{Database, finally};

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    search: collections::config::Search,
}

/// Elasticsearch with a prefix of its own for all names; what was made is removed when this value is dropped.
pub(crate) struct Cluster {
    pub(crate) elastic: Elastic,
}

impl Cluster {
    pub(crate) fn open() -> Self {
        let prefix = format!("it-{}", collections::values::ids::new().simple());
        let settings = Settings::parse_from(["it", "--index-prefix", &prefix, "--search-timeout", "10s"]);
        let elastic = Elastic::open(&settings.search).unwrap().expect("ELASTICSEARCH_URL names the server; bin/test sets it");
        Self { elastic }
    }

    /// Sends a request past our own code and returns the answer as it is.
    pub(crate) async fn raw(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/{path}", std::env::var("ELASTICSEARCH_URL").unwrap());
        let mut request = reqwest::Client::new().request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap().json().await.unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let (url, prefix) = (std::env::var("ELASTICSEARCH_URL").unwrap(), self.elastic.prefix.clone());
        finally(async move {
            let client = reqwest::Client::new();
            // Wildcards may be forbidden for deletion, so the names are asked for first.
            let listed = client.get(format!("{url}/{prefix}-*/_settings?filter_path=*.settings.index.uuid")).send().await;
            let indices: Value = listed.unwrap().json().await.unwrap();
            for name in indices.as_object().into_iter().flatten().map(|(name, _)| name) {
                client.delete(format!("{url}/{name}")).send().await.ok();
            }
            client.delete(format!("{url}/_index_template/{prefix}-*")).send().await.ok();
        });
    }
}

fn customers() -> &'static Collection {
    ALL.into_iter().find(|collection| collection.name == "customers").unwrap()
}

fn moment(second: u32) -> DateTime<Utc> {
    format!("2026-01-01T00:00:{second:02}Z").parse().unwrap()
}

/// Creates an index without a generation.
pub(crate) async fn create(elastic: &Elastic, collection: &Collection, now: DateTime<Utc>) -> Result<String, ElasticError> {
    let index = index::name(&elastic.prefix, collection, &Template::new(collection).unwrap().hash, now);
    index::create(elastic, collection, &index, "it").await.map(|()| index)
}

fn document(id: Uuid, name: &str) -> Vec<u8> {
    json!({ "id": id, "name": name }).to_string().into_bytes()
}

#[tokio::test]
async fn a_generation_goes_live_by_one_swap_and_the_older_one_leaves() {
    let cluster = Cluster::open();
    let elastic = &cluster.elastic;
    assert_eq!(index::inspect(elastic, customers()).await.unwrap(), Alias::Missing);

    let first = create(elastic, customers(), moment(1)).await.unwrap();
    assert_eq!(index::inspect(elastic, customers()).await.unwrap(), Alias::Missing, "nothing is live before the swap");
    index::swap(elastic, customers(), &first).await.unwrap();
    let second = create(elastic, customers(), moment(2)).await.unwrap();
    index::swap(elastic, customers(), &second).await.unwrap();
    assert_eq!(index::inspect(elastic, customers()).await.unwrap(), Alias::Live(second.clone()));
    let made = index::generations(elastic, customers()).await.unwrap();
    assert_eq!(made.iter().map(|one| &one.index).collect::<Vec<_>>(), [&first, &second]);
    assert!(made.iter().all(|one| one.owner.as_deref() == Some("it")));

    index::remove(elastic, &first).await.unwrap();
    index::remove(elastic, &first).await.unwrap();
    assert_eq!(index::generations(elastic, customers()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_index_in_the_place_of_the_alias_is_told_from_a_missing_one() {
    let cluster = Cluster::open();
    let alias = index::alias(&cluster.elastic, customers());
    cluster.raw(reqwest::Method::PUT, &alias, None).await;
    assert_eq!(index::inspect(&cluster.elastic, customers()).await.unwrap(), Alias::Occupied);
}

#[tokio::test]
async fn a_template_edited_by_hand_is_put_back() {
    let cluster = Cluster::open();
    let elastic = &cluster.elastic;
    assert!(!index::ensure_template(elastic, customers()).await.unwrap(), "there was none");
    create(elastic, customers(), moment(1)).await.unwrap();
    assert!(!index::ensure_template(elastic, customers()).await.unwrap());

    let path = format!("_index_template/{}", index::alias(elastic, customers()));
    let found = cluster.raw(reqwest::Method::GET, &path, None).await;
    let mut template = found["index_templates"][0]["index_template"].clone();
    template["template"]["mappings"]["properties"]["name"] = json!({ "type": "text" });
    cluster.raw(reqwest::Method::PUT, &path, Some(template)).await;
    assert!(index::ensure_template(elastic, customers()).await.unwrap());
    assert!(!index::ensure_template(elastic, customers()).await.unwrap());
    let found = cluster.raw(reqwest::Method::GET, &path, None).await;
    assert_eq!(found["index_templates"][0]["index_template"]["template"]["mappings"]["properties"]["name"]["type"], "keyword");
}

#[tokio::test]
async fn an_older_version_loses_and_a_tombstone_keeps_it_out() {
    let cluster = Cluster::open();
    let elastic = &cluster.elastic;
    let name = create(elastic, customers(), moment(1)).await.unwrap();
    let (kept, gone) = (Uuid::from_u128(1), Uuid::from_u128(2));

    let mut writes = Bulk::default();
    writes.index(&name, kept, Version(7), &document(kept, "new"));
    writes.index(&name, kept, Version(6), &document(kept, "old"));
    writes.index(&name, kept, Version(7), &document(kept, "same"));
    writes.delete(&name, gone, Version(9));
    writes.index(&name, gone, Version(8), &document(gone, "late"));
    let outcomes = bulk::send(elastic, writes).await.unwrap();
    use Outcome::{Outdated, Written};
    assert_eq!(outcomes, [Written, Outdated, Outdated, Written, Outdated]);

    let held = inventory::read(elastic, &name, &[kept, gone]).await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].id, held[0].version), (kept, Version(7)));
    assert!(held[0].source.get().contains("new"));
}

#[tokio::test]
async fn poison_and_a_missing_index_are_told_apart() {
    let cluster = Cluster::open();
    let elastic = &cluster.elastic;
    let name = create(elastic, customers(), moment(1)).await.unwrap();
    let id = Uuid::from_u128(1);

    let mut writes = Bulk::default();
    writes.index(&name, id, Version(1), br#"{"unheardOf":1}"#);
    writes.index(&name, id, Version(1), br#"{"createdAt":"Jane Doe"}"#);
    let unknown = format!("{}-v1-gone", index::alias(elastic, customers()));
    writes.index(&unknown, id, Version(1), &document(id, "x"));
    let outcomes = bulk::send(elastic, writes).await.unwrap();
    assert!(matches!(&outcomes[0], Outcome::Poison { status: 400, reason } if reason.contains("unheardOf")), "{outcomes:?}");
    assert!(matches!(&outcomes[1], Outcome::Poison { reason, .. } if !reason.contains("Jane")), "{outcomes:?}");
    assert_eq!(outcomes[2], Outcome::NoIndex);
}

#[tokio::test]
async fn a_scan_returns_every_id_once_in_order() {
    let cluster = Cluster::open();
    let elastic = &cluster.elastic;
    let name = create(elastic, customers(), moment(1)).await.unwrap();
    index::update_settings(elastic, &name, &json!({ "refresh_interval": "-1", "number_of_replicas": 0 })).await.unwrap();
    let mut writes = Bulk::default();
    for number in (1..=25).rev() {
        let id = Uuid::from_u128(number << 64);
        writes.index(&name, id, Version(i64::try_from(number).unwrap()), &document(id, "x"));
    }
    bulk::send(elastic, writes).await.unwrap();
    assert_eq!(index::count(elastic, &name).await.unwrap(), 0, "nothing is searchable before a refresh");
    index::refresh(elastic, &name).await.unwrap();
    assert_eq!(index::count(elastic, &name).await.unwrap(), 25);

    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = inventory::page(elastic, &name, after, None, 10, Detail::Ids).await.unwrap();
        seen.extend(page.entries.into_iter().map(|entry| (entry.id, entry.version)));
        if page.end.is_none() {
            break;
        }
        after = page.end;
    }
    let expected: Vec<_> =
        (1..=25).map(|number: u128| (Uuid::from_u128(number << 64), Version(i64::try_from(number).unwrap()))).collect();
    assert_eq!(seen, expected);

    let [after, last] = [5, 8].map(|number| Some(Uuid::from_u128(number << 64)));
    let page = inventory::page(elastic, &name, after, last, 10, Detail::Ids).await.unwrap();
    let ids: Vec<_> = page.entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [6, 7, 8].map(|number| Uuid::from_u128(number << 64)));
    assert_eq!(page.end, None);
}

#[tokio::test]
async fn a_block_on_another_index_blocks_nothing_here() {
    let cluster = Cluster::open();
    let elastic = &cluster.elastic;
    let names = [create(elastic, customers(), moment(1)).await.unwrap(), create(elastic, customers(), moment(2)).await.unwrap()];
    index::update_settings(elastic, &names[0], &json!({ "blocks.read_only_allow_delete": true })).await.unwrap();
    assert!(index::write_block(elastic, &names[0]).await.unwrap().is_some_and(|block| block.contains("read-only-allow-delete")));
    assert_eq!(index::write_block(elastic, &names[1]).await.unwrap(), None);
}

#[tokio::test]
async fn the_server_names_its_version_and_modules() {
    let server = index::server(&Cluster::open().elastic).await.unwrap();
    assert!(server.version.contains('.') && !server.modules.is_empty());
}

/// A row with every member filled, and hostile free values.
const ROWS: &str = r#"
insert into users (id, username, name, role, password_hash) values ('00000000-0000-0000-0000-00000000000a', 'ada', 'Ada', 'agent', 'x');
insert into customers (id, external_id, name, given_name, family_name, company_name, date_of_birth, tax_id, language, time_zone, tags, metadata, custom, deleted_at)
values ('00000000-0000-0000-0000-000000000001', 'X-1', 'Jürgen Groß', 'Jürgen', 'Groß', 'Groß AG', '1815-12-10', 'DE 123', 'de', 'Europe/Berlin', '{a,b}',
  '{"": 1, "a.b": {"c": [1, {"d": null}]}, "a": "x", ".": "", "deep": {"1":{"2":{"3":{"4":{"5":{"6":{"7":{"8":{"9":{"10":{"11":{"12":{"13":{"14":{"15":{"16":{"17":{"18":{"19":{"20":{"21":{"22":1}}}}}}}}}}}}}}}}}}}}}}}',
  '{"n": 1e300, "t": true}', now());
insert into contact_points (id, customer_id, kind, value, normalized, label, is_primary)
values ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 'phone', '(415) 555-2671', '+14155552671', 'home', true),
  ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000001', 'email', 'J@Example.com', 'j@example.com', 'work', true);
insert into addresses (id, customer_id, label, line1, line2, city, region, postal_code, country, is_primary)
values ('00000000-0000-0000-0000-000000000004', '00000000-0000-0000-0000-000000000001', 'home', 'Weg 1', 'Hof', 'Köln', 'NRW', '50667', 'DE', true);
insert into accounts (id, account_number, customer_id, currency, original_amount, due_date, assignee_id, creditor, portfolio, product, last_payment_at, last_contact_at, next_action_at, tags, custom)
values ('00000000-0000-0000-0000-000000000005', 'AC-1', '00000000-0000-0000-0000-000000000001', 'EUR', 9223372036854775807, '0001-01-01', '00000000-0000-0000-0000-00000000000a', 'C', 'P', 'Q', now(), now(), '9999-12-31', '{x}', '{"k": [1, "two"]}');
insert into payments (id, account_id, amount, currency, method, receiver, description, reference, failure_code, failure_reason)
values ('00000000-0000-0000-0000-000000000006', '00000000-0000-0000-0000-000000000005', 1, 'EUR', 'cash', 'Me', 'For it', 'R-1', 'c', 'because');
insert into activities (id, account_id, user_id, kind, disposition, channel, note, metadata, is_pinned)
values ('00000000-0000-0000-0000-000000000007', '00000000-0000-0000-0000-000000000005', '00000000-0000-0000-0000-00000000000a', 'call',
  'promise', 'mobile', 'will pay', '{"minutes": 4}', true);
"#;

#[tokio::test]
async fn every_member_of_every_document_has_a_mapping() {
    let database = Database::create().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(ROWS)).execute(&database.pool).await.unwrap();
    let cluster = Cluster::open();
    for (collection, table) in ALL.into_iter().map(|collection| (collection, collection.name)) {
        let name = create(&cluster.elastic, collection, moment(1)).await.unwrap();
        let mut connection = database.pool.acquire().await.unwrap();
        let ids: Vec<Uuid> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select id from {table}"))).fetch_all(&mut *connection).await.unwrap();
        let loaded = (collection.load)(&mut connection, &ids).await.unwrap();
        assert_eq!(loaded.len(), 1, "{table}");
        let mut writes = Bulk::default();
        for document in &loaded {
            writes.index(&name, document.id, Version(1), &document.source);
        }
        assert_eq!(bulk::send(&cluster.elastic, writes).await.unwrap(), [Outcome::Written], "{table}");

        // Exactly the bytes that were written, so that no number passes through a float.
        let held = inventory::read(&cluster.elastic, &name, &ids).await.unwrap();
        assert_eq!(held[0].source.get().as_bytes(), loaded[0].source, "{table}");
    }
}
