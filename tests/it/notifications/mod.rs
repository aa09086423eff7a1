//! Notifications: who is told of what, once.

mod kills;
mod told;
mod wants;

use collections::auth::Role;
use collections::notifications;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::eventually::eventually;

/// A signed-in user.
struct Person {
    client: Client,
    id: Value,
}

async fn person(test: &TestApp, role: Role) -> Person {
    let client = test.client(role).await;
    let id = client.get("/auth/profile").await.expect(200)["id"].clone();
    Person { client, id }
}

/// An account of a new customer, assigned to a user: its id.
async fn account_of(by: &Client, assignee: &Value) -> String {
    let new = json!({ "customer": { "name": "Jane Smith" }, "amountDue": 100, "currency": "EUR" });
    let account = by.post("/accounts", &new).await.expect(201);
    let id = account["id"].as_str().unwrap().to_owned();
    by.patch(&format!("/accounts/{id}"), &json!({ "assigneeId": assignee })).await.expect(200);
    id
}

/// Lets the notifier tell of all that has changed. What other tests write in the same cluster may hold it up.
async fn tell(test: &TestApp) {
    eventually("the notifier has told of everything", async || !notifications::catch_up(&test.app).await.unwrap()).await;
}

/// The notifications of a user, the newest first.
async fn list(person: &Person) -> Vec<Value> {
    let (mut all, mut more) = (Vec::new(), String::new());
    loop {
        let page = person.client.get(&format!("/notifications?limit=100{more}")).await.expect(200);
        all.extend_from_slice(page["data"].as_array().unwrap());
        let Some(next) = page["nextCursor"].as_str() else { return all };
        more = format!("&cursor={next}");
    }
}

fn kinds(notifications: &[Value]) -> Vec<&str> {
    notifications.iter().map(|one| one["kind"].as_str().unwrap()).collect()
}
