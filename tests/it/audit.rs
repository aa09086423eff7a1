//! The audit log: what is in it, and that no change of it stays unnoticed.

use collections::api::Fields;
use collections::audit::{self, Fault, Head};
use collections::auth::Role;
use collections::features::accounts::Account;
use collections::features::customers::Customer;
use collections::features::payments::Payment;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::eventually::eventually;
use crate::harness::process;

/// The entries that a condition selects, oldest first, as JSON with the names of the columns.
async fn entries(pool: &PgPool, condition: &str) -> Vec<Value> {
    let sql = format!("select to_json(l) from audit_log l where {condition} order by xid, id");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
}

async fn seal(test: &TestApp) -> Option<Head> {
    audit::seal(&test.app.db.server, &test.app.audit.keys, &test.clock).await.unwrap()
}

/// Seals all there is: transactions of other tests may hold it up.
async fn seal_all(test: &TestApp) -> Head {
    eventually("all is sealed", async || {
        seal(test).await;
        verify(test, None).await.unsealed == 0
    })
    .await;
    audit::head(&test.app.db.server).await.unwrap().unwrap()
}

async fn verify(test: &TestApp, anchor: Option<&Head>) -> audit::Report {
    audit::verify(&test.app.db.server, &test.app.audit.keys, anchor).await.unwrap()
}

/// An account with a customer of its own; returns the ids of both.
async fn open_account(client: &Client) -> (String, String) {
    let account = client.post("/accounts", &json!({ "customer": { "name": "Ann Lee" }, "amountDue": 10 })).await.expect(201);
    let id = |name: &str| account[name].as_str().unwrap().to_owned();
    (id("id"), id("customerId"))
}

async fn user_id(client: &Client) -> Value {
    client.get("/auth/profile").await.expect(200)["id"].clone()
}

#[tokio::test]
async fn every_change_has_an_entry_with_who_and_what() {
    let test = TestApp::start_api(&[]).await;
    let (pool, agent) = (&test.database.pool, test.agent().await);
    let agent_id = user_id(&agent).await;
    let (account, customer) = open_account(&agent.with("x-request-id", "opened")).await;
    let opened = entries(pool, "request = 'opened'").await;
    let kinds: Vec<&str> = opened.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["customers", "accounts", "ledger_entries"]);
    for entry in &opened {
        assert_eq!((&entry["actor"], &entry["action"]), (&agent_id, &json!("create")), "{entry}");
    }
    assert_eq!(opened[0]["subject"], json!(customer));
    assert_eq!(opened[1]["details"]["status"], "open");

    let path = format!("/accounts/{account}");
    agent.with("x-request-id", "changed").patch(&path, &json!({ "status": "paused", "creditor": "ACME" })).await.expect(200);
    let changed = entries(pool, "request = 'changed'").await;
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0]["action"], "change");
    assert_eq!(changed[0]["details"], json!({ "status": ["open", "paused"], "creditor": [null, "ACME"] }));

    let paid = json!({ "amount": 5, "method": "cash", "status": "success" });
    agent.with("x-request-id", "paid").post(&format!("{path}/payments"), &paid).await.expect(201);
    let paid: Vec<Value> = entries(pool, "request = 'paid'").await.iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(paid, ["payments", "ledger_entries"], "the balance follows from the entry of the ledger");

    // A person at psql has no user, but a role; what is rolled back has not happened.
    let mut psql = PgConnection::connect(&test.database.url).await.unwrap();
    sqlx::query("update accounts set portfolio = 'P1'").execute(&mut psql).await.unwrap();
    let mut transaction = psql.begin().await.unwrap();
    sqlx::query("update accounts set portfolio = 'P2'").execute(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    let login: String = sqlx::query_scalar("select session_user::text").fetch_one(pool).await.unwrap();
    let by_hand = entries(pool, "actor is null and kind = 'accounts'").await;
    assert_eq!(by_hand.len(), 1, "{by_hand:?}");
    assert_eq!((&by_hand[0]["login"], &by_hand[0]["details"]), (&json!(login), &json!({ "portfolio": [null, "P1"] })));
}

#[tokio::test]
async fn personal_data_is_in_the_log_as_a_hash_that_shows_what_is_equal() {
    let test = TestApp::start_api(&[]).await;
    let (pool, agent) = (&test.database.pool, test.agent().await);
    let mut ids = Vec::new();
    for name in ["Ann Canary", "Ann Canary", "Bob Canary"] {
        let customer = agent
            .post("/customers", &json!({ "name": name, "contactPoints": [{ "kind": "email", "value": "canary@example.com" }] }))
            .await;
        ids.push(customer.expect(201)["id"].as_str().unwrap().to_owned());
    }
    let created = entries(pool, "kind = 'customers'").await;
    let hash = |at: usize| created[at]["details"]["name"].as_str().unwrap();
    assert!(hash(0).starts_with('•'), "{}", hash(0));
    assert_eq!(hash(0), hash(1));
    assert_ne!(hash(0), hash(2));
    agent.patch(&format!("/customers/{}", ids[0]), &json!({ "name": "Cid Canary" })).await.expect(200);
    let changed = entries(pool, "kind = 'customers' and action = 'change'").await;
    assert_eq!(changed[0]["details"]["name"][0], hash(0));
    assert_eq!(entries(pool, "lower(l::text) like '%canary%'").await, Vec::<Value>::new());
}

/// A later migration that adds a column has to call `make_audited` again.
#[tokio::test]
async fn the_triggers_know_every_column_and_hide_the_personal_ones() {
    let test = TestApp::start_api(&[]).await;
    let pool = &test.database.pool;
    let stale: Vec<String> = sqlx::query_scalar(
        "select name from audited_tables t join pg_proc on proname = 'audit_' || name where prosrc <> audit_body(name, personal, untold)",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert_eq!(stale, Vec::<String>::new());

    async fn check<R: Fields>(pool: &PgPool, table: &str) {
        let sql =
            "select attname::text, attname = any(personal) from audited_tables join pg_attribute on attrelid = name::regclass
            where name = $1 and attnum > 0";
        let columns: Vec<(String, bool)> = sqlx::query_as(sql).bind(table).fetch_all(pool).await.unwrap();
        for (column, is_hidden) in columns {
            if let Some(member) = R::MEMBERS.iter().find(|member| member.column == column) {
                assert_eq!(is_hidden, member.field.personal.is_some(), "{table}.{column}");
            }
        }
    }
    check::<Customer>(pool, "customers").await;
    check::<Account>(pool, "accounts").await;
    check::<Payment>(pool, "payments").await;
}

#[tokio::test]
async fn the_log_cannot_be_changed_by_the_server_or_its_owner() {
    let test = TestApp::start_api(&[]).await;
    open_account(&test.agent().await).await;
    seal_all(&test).await;
    for table in ["audit_log", "audit_seals"] {
        for statement in [format!("delete from {table}"), format!("truncate {table}"), format!("update {table} set ctid = ctid")]
        {
            let statement = statement.replace("ctid = ctid", if table == "audit_log" { "kind = 'x'" } else { "number = 7" });
            let refused = sqlx::query(AssertSqlSafe(statement.clone())).execute(&test.app.db.server).await.unwrap_err();
            assert!(refused.to_string().contains("permission denied"), "{statement}: {refused}");
            let refused = sqlx::query(AssertSqlSafe(statement.clone())).execute(&test.database.pool).await.unwrap_err();
            assert!(refused.to_string().contains("append only"), "{statement}: {refused}");
        }
    }
}

/// Does what only a superuser can, with all triggers off.
async fn tamper(test: &TestApp, statements: &str) {
    let sql = format!("begin; set local session_replication_role = replica; {statements}; commit;");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&test.database.pool).await.unwrap();
}

#[tokio::test]
async fn the_first_tampered_entry_is_named() {
    let test = TestApp::start_api(&["--audit-reads", "false"]).await;
    let (agent, mut heads) = (test.agent().await, Vec::new());
    for _ in 0..3 {
        open_account(&agent).await;
        heads.push(seal_all(&test).await);
    }
    assert_eq!(seal(&test).await, None, "nothing is new");
    let report = verify(&test, Some(&heads[1])).await;
    assert_eq!((&report.fault, &report.head, report.unsealed), (&None, &Some(heads[2].clone()), 0));
    let pool = &test.database.pool;
    let seals: Vec<(i64, Vec<u8>, Vec<i64>)> =
        sqlx::query_as("select number, hash, entries from audit_seals order by number").fetch_all(pool).await.unwrap();
    assert_eq!(report.entries, seals.iter().map(|(_, _, entries)| entries.len()).sum::<usize>());
    tamper(&test, "create table kept_log as table audit_log; create table kept_seals as table audit_seals").await;

    // The last two seals have the entries of one account each.
    let [.., (seal, _, of_seal), (last, _, of_last)] = &seals[..] else { panic!("{seals:?}") };
    let (seal, last, one, two) = (*seal, *last, of_seal[0], of_seal[1]);
    let first = Head { number: 1, hash: seals[0].1.clone() };
    let swap = format!(
        "update audit_log a set at = b.at, kind = b.kind, subject = b.subject, details = b.details
        from audit_log b where (a.id, b.id) in (({one}, {two}), ({two}, {one}))"
    );
    let insert = format!(
        "insert into audit_log (id, xid, action, kind) overriding system value
        select -5, xid, 'delete', kind from audit_log where id = {two}"
    );
    let cut = format!("delete from audit_seals where number = {last}; delete from audit_log where id >= {}", of_last[0]);
    for (statements, anchor, fault) in [
        (format!("update audit_log set details = '{{}}' where id = {one}"), None, Fault::Edited { seal, entry: one }),
        (format!("update audit_log set actor = null where id = {two}"), None, Fault::Edited { seal, entry: two }),
        (format!("update audit_log set at = at + interval '1 s' where id = {two}"), None, Fault::Edited { seal, entry: two }),
        (format!("delete from audit_log where id = {one}"), None, Fault::Deleted { seal, entry: one }),
        (format!("delete from audit_log where id >= {two}"), None, Fault::Deleted { seal, entry: two }),
        (swap, None, Fault::Swapped { seal, entry: one }),
        (insert, None, Fault::Inserted { seal, entry: -5 }),
        ("truncate audit_log".into(), None, Fault::Deleted { seal: 1, entry: seals[0].2[0] }),
        (format!("delete from audit_seals where number = {seal}"), None, Fault::SealDeleted(seal)),
        (format!("update audit_seals set entries = entries[2:] where number = {seal}"), None, Fault::SealEdited(seal)),
        (format!("update audit_seals set hash = sha256('x') where number = {last}"), None, Fault::SealEdited(last)),
        (format!("update audit_seals set signature = '' where number = {last}"), None, Fault::Unsigned(last)),
        (cut, Some(&heads[2]), Fault::Truncated(last)),
        ("truncate audit_log; truncate audit_seals".into(), Some(&first), Fault::Truncated(1)),
    ] {
        tamper(&test, &statements).await;
        assert_eq!(verify(&test, anchor).await.fault, Some(fault), "{statements}");
        let restore = "truncate audit_log; truncate audit_seals; insert into audit_seals table kept_seals;
            insert into audit_log overriding system value table kept_log";
        tamper(&test, restore).await;
        assert_eq!(verify(&test, None).await.fault, None);
    }

    // A chain that was rewritten is not signed: another secret's signature is not ours.
    tamper(&test, "truncate audit_seals").await;
    let keys = audit::Keys::new(b"another secret", std::iter::empty());
    eventually("the chain is rewritten", async || {
        audit::seal(&test.app.db.server, &keys, &test.clock).await.unwrap();
        verify(&test, None).await.unsealed == 0
    })
    .await;
    assert!(matches!(verify(&test, None).await.fault, Some(Fault::Unsigned(_))));
    assert_eq!(verify(&test, Some(&first)).await.fault, Some(Fault::Rewritten(1)));
}

#[tokio::test]
async fn a_disabled_trigger_is_named() {
    let test = TestApp::start_api(&[]).await;
    for (table, trigger) in [("payments", "payments_audit_update"), ("audit_log", "audit_log_append_only")] {
        let switch = |how: &str| AssertSqlSafe(format!("alter table {table} {how} trigger {trigger}"));
        sqlx::query(switch("disable")).execute(&test.database.pool).await.unwrap();
        assert_eq!(verify(&test, None).await.fault, Some(Fault::Unguarded(table.into())));
        sqlx::query(switch("enable")).execute(&test.database.pool).await.unwrap();
        assert_eq!(verify(&test, None).await.fault, None);
    }
}

/// A transaction that took its number early commits late: its entries belong before those of the others, which wait for it.
#[tokio::test]
async fn an_entry_that_commits_late_is_sealed_in_its_place() {
    let test = TestApp::start_api(&["--audit-reads", "false"]).await;
    let (agent, pool) = (test.agent().await, &test.database.pool);
    seal_all(&test).await;
    let mut late = PgConnection::connect(&test.database.url).await.unwrap();
    let mut transaction = late.begin().await.unwrap();
    let insert = "insert into customers (id, name) values (gen_random_uuid(), 'Late')";
    sqlx::query(insert).execute(&mut *transaction).await.unwrap();
    open_account(&agent).await;
    assert_eq!(seal(&test).await, None);
    assert!(verify(&test, None).await.unsealed > 0);
    transaction.commit().await.unwrap();
    seal_all(&test).await;
    let report = verify(&test, None).await;
    assert_eq!(report.fault, None);
    let sealed: i64 = sqlx::query_scalar("select sum(cardinality(entries)) from audit_seals").fetch_one(pool).await.unwrap();
    assert_eq!(entries(pool, "true").await.len() as i64, sealed);
}

#[tokio::test]
async fn reads_and_searches_are_noted_without_what_was_searched_for() {
    let test = TestApp::start_api(&[]).await;
    let (pool, agent) = (&test.database.pool, test.agent().await);
    let (account, customer) = open_account(&agent).await;
    agent.get(&format!("/customers/{customer}")).await.expect(200);
    agent.get(&format!("/accounts/{account}/ledger")).await.expect(200);
    agent.get("/customers?name=Canary&status=active&q=canary").await.expect(200);
    agent.get("/search?q=canary").await.expect(200);
    agent.post("/accounts/search", &json!({ "filter": { "field": "creditor", "value": "Canary" } })).await.expect(200);
    agent.get("/accounts").await.expect(200);
    agent.get(&format!("/customers/{}", uuid::Uuid::nil())).await.expect(404);
    eventually("all are written", async || entries(pool, "action in ('read', 'search')").await.len() == 6).await;
    let noted = entries(pool, "action in ('read', 'search')").await;
    let found = |at: usize| (noted[at]["kind"].as_str().unwrap(), &noted[at]["subject"], &noted[at]["details"]["fields"]);
    assert_eq!(found(0), ("customers", &json!(customer), &Value::Null));
    assert_eq!(found(1), ("ledger_entries", &json!(account), &Value::Null));
    assert_eq!(found(2), ("customers", &Value::Null, &json!(["name", "status"])));
    assert_eq!(found(3), ("all", &Value::Null, &json!([])));
    assert_eq!(found(4), ("accounts", &Value::Null, &json!(["creditor"])));
    let typed = &noted[2]["details"]["q"];
    assert!(typed.as_str().unwrap().starts_with('•'));
    assert_eq!(typed, &noted[3]["details"]["q"], "the same text has the same hash");
    assert_eq!(noted[5]["details"]["q"], Value::Null);
    let agent_id = user_id(&agent).await;
    assert!(noted.iter().all(|entry| entry["actor"] == agent_id && entry["request"].is_string()));
    assert_eq!(entries(pool, "lower(l::text) like '%canary%'").await, Vec::<Value>::new());
}

#[tokio::test]
async fn reads_are_not_noted_if_the_settings_say_so() {
    let test = TestApp::start_api(&["--audit-reads", "false"]).await;
    let admin = test.admin().await;
    admin.get("/accounts").await.expect(200);
    // Changes are, and who reads the log.
    let log = admin.get("/audit?action=search").await.expect(200);
    assert_eq!(log["data"].as_array().unwrap().len(), 1);
    assert_eq!(log["data"][0]["kind"], "audit_log");
    assert_eq!(admin.get("/audit?kind=sessions&action=create").await.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_waits_to_be_noted_is_written_before_the_server_ends() {
    let test = TestApp::start_api(&[]).await;
    let second = test.without_elasticsearch().await;
    let token = test.token(Role::Agent).await;
    let there = Client::new(format!("http://{}", second.address)).with_token(&token);
    for _ in 0..20 {
        there.get("/accounts").await.expect(200);
    }
    second.stop.cancel();
    second.ended.await.unwrap();
    assert_eq!(entries(&test.database.pool, "action = 'search'").await.len(), 20);
}

#[tokio::test]
async fn administrators_search_the_log() {
    let test = TestApp::start_api(&["--audit-reads", "false"]).await;
    let (admin, agent) = (test.admin().await, test.agent().await);
    let agent_id = user_id(&agent).await;
    let agent_id = agent_id.as_str().unwrap();
    let before = test.clock.now();
    let (account, _) = open_account(&agent.with("x-request-id", "opened")).await;
    let list = async |query: &str| admin.get(&format!("/audit?{query}")).await.expect(200);
    let kinds = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
    };
    let by_request = list("requestId=opened").await;
    assert_eq!(kinds(&by_request), ["ledger_entries", "accounts", "customers"], "the newest first");
    assert_eq!(by_request["data"][1]["actor"], agent_id);
    assert!(by_request["data"][1]["actorName"].as_str().unwrap().starts_with("agent-"));
    assert_eq!(kinds(&list(&format!("subject={account}")).await)[1..], ["accounts"], "and the search itself");
    assert_eq!(kinds(&list(&format!("actor={agent_id}&kind=customers")).await), ["customers"]);
    let from = before.format("%Y-%m-%dT%H:%M:%SZ");
    assert_eq!(kinds(&list(&format!("actor={agent_id}&from={from}&action=create&limit=100")).await).len(), 4);
    assert_eq!(kinds(&list(&format!("actor={agent_id}&to=2020-01-01T00:00:00Z")).await).len(), 0);

    // Pages follow each other without a gap.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("requestId=opened&limit=2&cursor={cursor}")).await;
        seen.extend(kinds(&page));
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, kinds(&by_request));

    for query in ["actor=x", "from=yesterday", "limit=0", "limit=100000", "colour=red", "cursor=x"] {
        assert_eq!(admin.get(&format!("/audit?{query}")).await.status, 400, "{query}");
    }
    assert_eq!(test.client(Role::Manager).await.get("/audit").await.status, 403);
}

#[tokio::test]
async fn the_command_tells_whether_the_log_is_whole() {
    let test = TestApp::start_api(&[]).await;
    let run = async |arguments: &[&str]| {
        let output = process::command(&test.database).arg("audit").args(arguments).output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, told) = run(&["head"]).await;
    assert!(code == Some(1) && told.contains("nothing is sealed yet"), "{told}");
    open_account(&test.agent().await).await;
    let head = seal_all(&test).await.to_string();
    assert_eq!(run(&["head"]).await, (Some(0), format!("{head}\n")));
    let (code, told) = run(&["verify", "--head", &head]).await;
    assert!(code == Some(0) && told.contains("wait to be sealed"), "{told}");
    tamper(&test, "update audit_log set actor = gen_random_uuid() where id = 1").await;
    let (code, told) = run(&["verify"]).await;
    assert!(code == Some(1) && told.contains("entry 1 (seal 1) was edited"), "{told}");
    assert_eq!(run(&["verify", "--head", "nonsense"]).await.0, Some(2));
}
