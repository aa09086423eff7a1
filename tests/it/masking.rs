//! Personal data is masked for callers who may not see it: at every address, on both engines, and by no way around.

use collections::auth::Role;
use collections::server;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::{Engine, TestApp};
use crate::harness::client::{Answer, Client};

/// Words that are personal data and nothing else; each is somewhere in [`Debtor::create`].
const CANARIES: [&str; 5] = ["canary", "kanary", "415 555 0142", "4155550142", "1971-03-17"];

/// A customer with an account and a payment, in which every personal member has a canary.
struct Debtor {
    customer: Value,
    account: Value,
    payment: Value,
}

impl Debtor {
    async fn create(agent: &Client) -> Self {
        let customer = json!({
            "name": "Zoe Canaryname", "givenName": "Zoe Canarygiven", "familyName": "Canaryfamily", "companyName": "Canarycompany",
            "dateOfBirth": "1971-03-17", "taxId": "KANARY-99887766", "externalId": "C-17",
            "contactPoints": [
                { "kind": "phone", "value": "+1 415 555 0142", "label": "canary mobile" },
                { "kind": "email", "value": "Zoe.Canary@canary.example", "label": "canary mail" },
            ],
            "addresses": [{
                "line1": "5 Canarystreet", "line2": "Canaryflat", "city": "Canarycity", "region": "Canaryregion",
                "postalCode": "KANARY1", "country": "DE", "label": "canary home",
            }],
            "metadata": { "note": "canary" }, "custom": { "canary": "canary" },
        });
        let customer = agent.post("/customers", &customer).await.expect(201);
        let account =
            json!({ "customerId": customer["id"], "amountDue": 50, "accountNumber": "AC-1700", "custom": { "a": "canary" } });
        let account = agent.post("/accounts", &account).await.expect(201);
        let payment = json!({
            "amount": 5, "method": "cash", "status": "success", "receiver": "Canaryreceiver", "description": "canary note",
        });
        let path = format!("/accounts/{}/payments", text(&account["id"]));
        let payment = agent.post(&path, &payment).await.expect(201);
        Self { customer, account, payment }
    }

    /// An address of the table with the ids of this debtor.
    fn path(&self, pattern: &str) -> String {
        let part = |name: &str| text(&self.customer[name][0]["id"]).to_owned();
        pattern
            .replace("{CustomerId}", text(&self.customer["id"]))
            .replace("{AccountId}", text(&self.account["id"]))
            .replace("{PaymentId}", text(&self.payment["id"]))
            .replace("{ContactPointId}", &part("contactPoints"))
            .replace("{AddressId}", &part("addresses"))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[track_caller]
fn assert_masked(answer: &Answer, path: &str) {
    let shown = format!("{} {:?}", answer.text, answer.headers).to_lowercase();
    for canary in CANARIES {
        assert!(!shown.contains(canary), "{path} shows {canary}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_shows_personal_data_to_a_viewer() {
    for engine in [Engine::Elasticsearch, Engine::Postgres] {
        let test = TestApp::start_on(engine).await;
        let (agent, viewer) = (test.agent().await, test.client(Role::Viewer).await);
        let debtor = Debtor::create(&agent).await;
        test.settle().await;
        let mut shown = 0;
        for row in &server::routes(&test.app).table() {
            let path = debtor.path(&row.path);
            if path.contains('{') || path.ends_with("/logout") {
                continue;
            }
            let method = Method::from_bytes(row.method.as_bytes()).unwrap();
            let body = (method != Method::GET).then(|| json!({}));
            let answer = viewer.send(method, &path, body.as_ref()).await;
            assert_masked(&answer, &path);
            shown += usize::from(answer.text.contains("•••"));
        }
        assert!(shown >= 16, "{shown} addresses have shown a mask");
        for query in [
            "/customers?q=canaryname&highlight=true&include=",
            "/customers?q=canaryname&highlight=true",
            "/customers?q=%2B14155550142&highlight=true",
            "/customers?q=zoe.canary@canary.example&highlight=true",
            "/customers?q=canarystreet&highlight=true",
            "/customers?name=Zoe%20Canaryname&fields=name,email,addresses",
            "/accounts?include=customer",
            "/payments?include=customer,account&q=canaryreceiver&highlight=true",
            "/search?q=canaryname",
            "/search?q=canarynane",
            "/search?q=canaryreceiver",
            "/accounts?facets=status,creditor&aggs=stats(balance)",
        ] {
            assert_masked(&viewer.get(query).await, query);
        }
        let listed = viewer.get("/customers").await.expect(200);
        let read = viewer.get(&debtor.path("/customers/{CustomerId}")).await.expect(200);
        assert_eq!(listed["data"][0], read, "{engine:?}");
        for (member, masked) in [
            ("name", json!("Z••• C•••")),
            ("companyName", json!("C•••")),
            ("dateOfBirth", Value::Null),
            ("taxId", json!("•••7766")),
            ("phone", json!("•••0142")),
            ("email", json!("Z•••@•••.example")),
            ("metadata", json!({})),
            ("externalId", json!("C-17")),
            ("status", json!("active")),
        ] {
            assert_eq!(read[member], masked, "{member}");
        }
        assert_eq!(read["contactPoints"][0]["value"], "•••0142");
        assert_eq!((&read["addresses"][0]["line1"], &read["addresses"][0]["country"]), (&json!("•••"), &json!("DE")));
        // The others see what there is.
        let all = agent.get(&debtor.path("/customers/{CustomerId}")).await.expect(200);
        assert_eq!((&all["name"], &all["dateOfBirth"]), (&json!("Zoe Canaryname"), &json!("1971-03-17")));
        let leaked: i64 =
            sqlx::query_scalar("select count(*) from audit_log l where l::text ~* 'canary|kanary|4155550142|1971-03'")
                .fetch_one(&test.database.pool)
                .await
                .unwrap();
        assert_eq!(leaked, 0, "the audit log has none either");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_masked_cannot_be_found_out_by_asking() {
    for engine in [Engine::Elasticsearch, Engine::Postgres] {
        let test = TestApp::start_on(engine).await;
        let (agent, viewer) = (test.agent().await, test.client(Role::Viewer).await);
        Debtor::create(&agent).await;
        test.settle().await;
        for query in [
            "/customers?sort=name",
            "/customers?sort=-dateOfBirth",
            "/customers?sortBy=familyName",
            "/payments?sort=receiver",
            "/customers?name[prefix]=zo",
            "/customers?name[match]=can",
            "/customers?givenName[prefix]=Z",
            "/customers?dateOfBirth=1971-03-17",
            "/customers?dateOfBirth[gte]=1970-01-01",
            "/accounts?customerName[prefix]=zoe",
            "/payments?receiver[prefix]=Can",
            "/customers?facets=givenName",
            "/customers?aggs=cardinality(familyName)",
            "/customers?aggs=histogram(dateOfBirth,year)",
            "/payments?facets=receiver",
        ] {
            let answer = viewer.get(query).await;
            assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{query}: {}", answer.body);
            assert!(text(&answer.body["detail"]).contains("personal"), "{}", answer.body);
            agent.get(query).await.expect(200);
        }
        let body = json!({ "filter": { "not": { "field": "name", "op": "prefix", "value": "z" } } });
        assert_eq!(viewer.post("/customers/search", &body).await.status, 403);

        // Who knows the whole finds it; who knows a part does not.
        for (typed, is_found) in [
            ("canaryname", true),
            ("zoe canaryname", true),
            ("%2B1 415 555 0142", true),
            ("(415) 555-0142", true),
            ("zoe.canary@canary.example", true),
            ("C-17", true),
            ("canaryn", false),
            ("canar", false),
            ("canarynane", false),
            ("0142", false),
            ("5550142", false),
            ("anary.examp", false),
            ("KANARY-9988", false),
            ("7766", false),
            ("canarystre", false),
            ("name:canaryn*", false),
        ] {
            for client in [&viewer, &agent] {
                let found = client.get(&format!("/customers?q={typed}")).await.expect(200);
                let is_agent = std::ptr::eq(client, &agent);
                let found = !found["data"].as_array().unwrap().is_empty();
                if !is_agent {
                    assert_eq!(found, is_found, "{engine:?} {typed}");
                } else if is_found {
                    assert!(found, "{engine:?} {typed}");
                }
            }
        }
        let why = viewer.get("/search?q=canaryname 0142").await.expect(200);
        assert!(!why.to_string().contains("suffix") && !why.to_string().contains("prefix"), "{why}");
    }
}

#[tokio::test]
async fn who_may_reveal_a_record_is_logged_with_the_reason() {
    let test = TestApp::start_api(&["--audit-reads", "false"]).await;
    let (admin, agent, viewer) = (test.admin().await, test.agent().await, test.client(Role::Viewer).await);
    let debtor = Debtor::create(&agent).await;
    for (pattern, member, shown) in [
        ("/customers/{CustomerId}", "name", "Zoe Canaryname"),
        ("/accounts/{AccountId}", "customerName", "Zoe Canaryname"),
        ("/payments/{PaymentId}", "receiver", "Canaryreceiver"),
    ] {
        let path = format!("{}/reveal", debtor.path(pattern));
        let reason = json!({ "reason": "the debtor called back" });
        let revealed = agent.with("x-request-id", "revealed").post(&path, &reason).await.expect(200);
        assert_eq!(revealed[member], shown);
        let logged = admin.get(&format!("/audit?action=reveal&subject={}", text(&revealed["id"]))).await.expect(200);
        assert_eq!(logged["data"][0]["details"], reason);
        assert_eq!(logged["data"][0]["requestId"], "revealed");
        for body in [json!({}), json!({ "reason": " " }), json!({ "reason": "called back", "colour": 1 })] {
            assert_eq!(agent.post(&path, &body).await.status, 422, "{body}");
        }
        assert_eq!(viewer.post(&path, &reason).await.status, 403);
    }
    let absent = format!("/customers/{}/reveal", uuid::Uuid::nil());
    assert_eq!(agent.post(&absent, &json!({ "reason": "the debtor called" })).await.status, 404);
    let all = admin.get("/audit?action=reveal").await.expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 3, "nothing else was revealed");
}

#[tokio::test]
async fn a_mask_that_is_sent_back_is_not_stored() {
    let test = TestApp::start_api(&[]).await;
    let (admin, agent) = (test.admin().await, test.agent().await);
    let debtor = Debtor::create(&agent).await;
    let rights = json!({ "permissions": ["read", "edit", "reveal"] });
    admin.put("/roles/agent/permissions", &rights).await.expect(200);
    let agent = test.agent().await;
    let path = debtor.path("/customers/{CustomerId}");
    let before = admin.get(&path).await.expect(200);
    let mut masked = agent.get(&path).await.expect(200);
    assert_eq!(masked["name"], "Z••• C•••");
    masked["status"] = json!("inactive");
    let replaced = agent.put(&path, &masked).await;
    assert_masked(&replaced, &path);
    replaced.expect(200);
    let mut after = admin.get(&path).await.expect(200);
    assert_eq!(after["status"], "inactive");
    for member in ["status", "version", "updatedAt", "updatedBy", "updatedByName"] {
        after[member] = before[member].clone();
    }
    assert_eq!(after, before);

    for body in [json!({ "name": "Zoe •••" }), json!({ "contactPoints": [{ "kind": "phone", "value": "•••0142" }] })]
    {
        let refused = agent.patch(&path, &body).await;
        assert_eq!(refused.body["errors"][0]["code"], "masked", "{}", refused.body);
    }
    let renamed = agent.patch(&path, &json!({ "name": "Zoe Newname" })).await.expect(200);
    assert_eq!(renamed["name"], "Z••• N•••");
    let added = agent.post(&format!("{path}/contact-points"), &json!({ "kind": "email", "value": "b@canary.example" })).await;
    assert_masked(&added, &path);
    added.expect(201);
    let part = debtor.path("/customers/{CustomerId}/contact-points/{ContactPointId}");
    let refused = agent.patch(&part, &json!({ "value": "+1 •••0142" })).await;
    assert_eq!(refused.body["errors"][0]["code"], "masked", "{}", refused.body);
    let reason = json!({ "reason": "the debtor called back" });
    let revealed = agent.post(&format!("{path}/reveal"), &reason).await.expect(200);
    assert_eq!(revealed["name"], "Zoe Newname");
}
