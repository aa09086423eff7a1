//! The language of lists: words of a name, missing values, bodies, the members that are shown; the same on both engines.

use collections::auth::Role;
use serde_json::{Value, json};

use super::lists::{ENGINES, Lists};
use crate::harness::app::Engine;

#[tokio::test]
async fn every_word_of_a_match_begins_a_word_of_the_name() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        let names: &[(&str, &[&str])] = &[
            ("name[match]=john", &["X-3", "X-5", "X-6"]),
            ("name[match]=JOHN+smi", &["X-5", "X-6"]),
            ("name[match]=mull", &["X-1"]),
            ("name[match]=m%C3%BCller", &["X-1"]),
            ("name[match]=obr", &["X-3"]),
            ("name[match]=den+ber", &["X-8"]),
            ("name[match]=widg", &["X-7"]),
            ("name[match]=idg", &[]),
            ("name[match]=smith+smith+xx", &[]),
        ];
        for (query, expected) in names {
            lists.check(&format!("/customers?{query}&sort=externalId"), "externalId", expected).await;
        }
        lists.check("/accounts?customerName[match]=jur+mul&sort=accountNumber", "accountNumber", &["AC-0017", "AC-0018"]).await;
        lists.check("/payments?customerName[match]=muller&sort=amount", "receiver", &["Front desk", "Web shop"]).await;
        for wrong in ["name[match]=", "name[match]=***", "givenName[match]=x", "name[match]=a+b+c+d+e+f+g+h+i+j+k+l+m"] {
            lists.client.get(&format!("/customers?{wrong}")).await.expect(400);
        }
    }
}

#[tokio::test]
async fn missing_values_come_where_the_order_says() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        let orders: &[(&str, &[&str])] = &[
            ("dueDate:nullsFirst", &["AC-0018", "ZZ-9917", "AC-0017", "AC-0020"]),
            ("-dueDate:nullsFirst", &["AC-0018", "AC-0020", "AC-0017", "ZZ-9917"]),
            ("-dueDate:nullsLast", &["AC-0020", "AC-0017", "ZZ-9917", "AC-0018"]),
            ("creditor:nullsFirst,accountNumber", &["AC-0018", "AC-0017", "ZZ-9917", "AC-0020"]),
            ("-creditor:nullsFirst,-accountNumber", &["AC-0018", "AC-0020", "ZZ-9917", "AC-0017"]),
            ("lastPaymentAt:nullsFirst,-accountNumber", &["ZZ-9917", "AC-0020", "AC-0018", "AC-0017"]),
        ];
        for (order, expected) in orders {
            lists.check(&format!("/accounts?sort={order}"), "accountNumber", expected).await;
            lists.check_walk(&format!("/accounts?sort={order}")).await;
        }
        for sort in ["oldestDueDate:nullsFirst,-externalId", "-balance:nullsFirst", "companyName:nullsFirst,givenName"] {
            lists.check_walk(&format!("/customers?sort={sort}")).await;
        }
        for wrong in ["dueDate:first", "dueDate:", "daysPastDue:nullsFirst", "score:nullsFirst"] {
            lists.client.get(&format!("/accounts?q=x&sort={wrong}")).await.expect(400);
        }
    }
}

impl Lists {
    /// Searches with a body and returns the values of one member, in order.
    async fn found(&self, collection: &str, body: &Value, member: &str) -> Vec<Value> {
        let answer = self.client.post(&format!("/{collection}/search"), body).await.expect(200);
        answer["data"].as_array().unwrap().iter().map(|item| item[member].clone()).collect()
    }
}

#[tokio::test]
async fn a_body_combines_conditions() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        let leaf = |field: &str, op: &str, value: Value| json!({ "field": field, "op": op, "value": value });
        let trees: &[(Value, &[&str])] = &[
            (leaf("status", "eq", json!("PAUSED")), &["ZZ-9917"]),
            (json!({ "field": "status", "value": "paused" }), &["ZZ-9917"]),
            (leaf("status", "in", json!(["open", "paused"])), &["AC-0017", "AC-0018", "AC-0020", "ZZ-9917"]),
            (json!({ "field": "creditor", "op": "exists" }), &["AC-0017", "AC-0020", "ZZ-9917"]),
            (leaf("creditor", "exists", json!(false)), &["AC-0018"]),
            (leaf("isOverdue", "eq", json!(true)), &["AC-0017"]),
            (leaf("customerName", "match", json!("john smi")), &["AC-0020"]),
            (leaf("dueDate", "between", json!(["2026-01-01", "2026-12-31"])), &["AC-0017", "ZZ-9917"]),
            (
                json!({ "or": [leaf("creditor", "eq", json!("Shop")), leaf("dueDate", "lt", json!("2026-02-01"))] }),
                &["AC-0020", "ZZ-9917"],
            ),
            (json!({ "not": leaf("tags", "in", json!(["a"])) }), &["AC-0018", "ZZ-9917"]),
            // A currency says what the amounts beside it are in.
            (
                json!({ "or": [
                    { "and": [leaf("currency", "eq", json!("JPY")), leaf("balance", "gte", json!(700))] },
                    { "and": [leaf("currency", "eq", json!("EUR")), leaf("balance", "lte", json!("5.00"))] },
                ] }),
                &["AC-0018", "ZZ-9917"],
            ),
            (
                json!({ "and": [{ "not": { "or": [leaf("currency", "eq", json!("USD")), leaf("status", "ne", json!("open"))] } }] }),
                &["AC-0017", "AC-0018"],
            ),
        ];
        for (filter, expected) in trees {
            let body = json!({ "filter": filter, "sort": "accountNumber" });
            assert_eq!(lists.found("accounts", &body, "accountNumber").await, *expected, "{filter} from {engine:?}");
        }
        let body = json!({ "q": "john", "sort": ["externalId"], "limit": 2, "count": "none", "filter": null });
        assert_eq!(lists.found("customers", &body, "externalId").await, ["X-3", "X-5"]);
        let body = json!({ "filter": leaf("receiver", "eq", json!("Front desk, left")), "tz": "Europe/Berlin" });
        assert_eq!(lists.found("payments", &body, "receiver").await, Vec::<Value>::new());
        let body = json!({ "includeDeleted": true, "filter": leaf("deletedAt", "exists", json!(true)) });
        assert_eq!(lists.found("customers", &body, "externalId").await, ["X-4"]);
    }
}

#[tokio::test]
async fn a_list_and_a_search_share_their_cursors() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        let list = "/accounts?status=open,paused&balance[gte]=1&sort=accountNumber&limit=1";
        let first = lists.client.get(list).await.expect(200);
        let conditions = json!([
            { "field": "balance", "op": "gte", "value": 1 },
            { "field": "status", "op": "in", "value": ["paused", "open"] },
        ]);
        let body =
            |cursor: &Value| json!({ "filter": { "and": conditions }, "sort": "accountNumber", "limit": 1, "cursor": cursor });
        let answer = lists.client.post("/accounts/search", &body(&first["nextCursor"])).await;
        assert_eq!(answer.header("link"), "");
        let second = answer.expect(200);
        assert_eq!(second["data"][0]["accountNumber"], "AC-0018");
        let third = lists.client.get(&format!("{list}&cursor={}", second["nextCursor"].as_str().unwrap())).await.expect(200);
        assert_eq!(third["data"][0]["accountNumber"], "AC-0020");
        let other = json!({ "filter": { "or": conditions }, "sort": "accountNumber", "cursor": first["nextCursor"] });
        assert_eq!(lists.client.post("/accounts/search", &other).await.expect(400)["code"], "bad_cursor");
        assert_eq!(lists.client.post("/customers/search", &json!({ "cursor": first["nextCursor"] })).await.status, 400);
    }
}

#[tokio::test]
async fn a_search_is_a_read() {
    let lists = Lists::open(Engine::Postgres).await;
    let viewer = lists.client_of(Role::Viewer).await;
    let answer = viewer.with("idempotency-key", "k").post("/accounts/search", &json!({})).await;
    assert_eq!((answer.header("idempotent-replayed"), answer.header("x-sync-token")), ("", ""));
    assert_eq!(answer.expect(200)["total"], 4);
    viewer.post("/accounts/search", &json!({ "includeDeleted": true })).await.expect(403);
    viewer.post("/accounts/search?syncToken=0%2F8", &json!({})).await.expect(200);
}

#[tokio::test]
async fn only_the_named_members_are_shown() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        let path = "/accounts?sort=accountNumber&limit=1";
        let whole = lists.client.get(path).await.expect(200)["data"][0].clone();
        let part = lists.client.get(&format!("{path}&fields=balance,tags,daysPastDue")).await.expect(200)["data"][0].clone();
        let expected = ["id", "balance", "tags", "daysPastDue"].map(|name| (name.to_owned(), whole[name].clone()));
        assert_eq!(part, Value::Object(expected.into_iter().collect()));
        let one = lists.client.get(&format!("/accounts/{}?fields=balance,tags,daysPastDue", whole["id"].as_str().unwrap())).await;
        assert!(one.header("etag").starts_with("\"v"));
        assert_eq!(one.expect(200), part);
        let searched = json!({ "sort": "name", "limit": 1, "fields": ["name", "phone"] });
        let found = lists.client.post("/customers/search", &searched).await.expect(200)["data"][0].clone();
        assert_eq!(found, json!({ "id": found["id"], "name": "Acme Widgets GmbH", "phone": null }));
        for (wrong, meant) in
            [("fields=due_date", "did you mean dueDate"), ("fields=", "records have no"), ("fields=search", "no search")]
        {
            for path in ["/accounts".to_owned(), format!("/accounts/{}", whole["id"].as_str().unwrap())] {
                let error = lists.client.get(&format!("{path}?{wrong}")).await.expect(400);
                assert!(error["detail"].as_str().unwrap().contains(meant), "{wrong}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_shows_what_its_records_refer_to() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        let page = lists.client.get("/payments?sort=amount&include=account,customer&fields=amount").await.expect(200);
        let records = page["data"].as_array().unwrap();
        let [account, customer] =
            ["accounts/00000000-0000-7000-9000-000000000001", "customers/00000000-0000-7000-8000-000000000001"];
        for record in &records[..2] {
            assert_eq!(record["account"], lists.client.get(&format!("/{account}")).await.expect(200));
            assert_eq!(record["customer"], lists.client.get(&format!("/{customer}")).await.expect(200));
            assert_eq!(record.as_object().unwrap().len(), 4, "{record}");
        }
        assert_eq!((&records[2]["account"], &records[2]["customer"]), (&Value::Null, &Value::Null));
        let one = lists.client.get(&format!("/{account}?include=customer")).await.expect(200);
        assert_eq!((&one["customer"]["externalId"], &one["accountNumber"]), (&json!("X-1"), &json!("AC-0017")));
        let found = lists.client.post("/accounts/search", &json!({ "include": ["customer"], "limit": 1 })).await.expect(200);
        assert_eq!(found["data"][0]["customer"]["externalId"], "X-6");
        let error = lists.client.get("/payments?include=ledger").await.expect(400);
        assert!(error["detail"].as_str().unwrap().contains("account, customer"), "{error}");
        lists.client.get("/customers?include=accounts").await.expect(400);
    }
}
