//! What holds for every transport alike: clients hear the same, and as long as they may.

use std::net::SocketAddr;

use collections::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::{TestApp, redis_url};
use crate::harness::client::Client;
use crate::harness::redis::Redis;
use crate::harness::subscriber::{Heard, Subscriber, WAYS};
use crate::imports::files::{FORM, csv, form};

/// Creates a customer: the id.
async fn create(by: &Client, name: &str) -> Value {
    by.post("/customers", &json!({ "name": name })).await.expect(201)["id"].clone()
}

fn at(address: SocketAddr, token: &str) -> Client {
    Client::new(format!("http://{address}")).with_token(token)
}

#[tokio::test]
async fn a_change_from_anywhere_is_heard_by_every_transport_once_in_order_and_masked() {
    let Some(redis) = redis_url() else { return };
    let test = TestApp::start_with(&["--redis-url", &redis]).await;
    let other = test.beside(&["--redis-url", &redis, "--index-prefix", &test.database.name]).await;
    let (writer, agent, viewer) =
        (test.token(Role::Manager).await, test.token(Role::Agent).await, test.token(Role::Viewer).await);
    let mut subscribers = Vec::new();
    for address in [test.address(), other.address] {
        for (token, name) in [(&agent, "Ada Lovelace"), (&viewer, "A••• L•••")] {
            subscribers
                .extend(Subscriber::all(address, token, &["customers"]).await.into_iter().map(|subscriber| (subscriber, name)));
        }
    }
    let (here, there) = (at(test.address(), &writer), at(other.address, &writer));
    // The other server may begin to follow only now, and then tells its clients to load everything.
    let first = create(&here, "Ada Lovelace").await;
    for (subscriber, _) in &mut subscribers {
        let heard = subscriber.heard().await;
        assert!(heard.event == "reset" || heard.data["id"] == first, "{:?}: {heard:?}", subscriber.way);
    }

    let mut hear = async |event: &str, id: &Value| {
        let mut ids = Vec::new();
        for (subscriber, name) in &mut subscribers {
            let heard = subscriber.heard().await;
            assert_eq!((heard.event.as_str(), &heard.data["id"]), (event, id), "{:?}", subscriber.way);
            assert_eq!(heard.data["name"], *name, "{:?}", subscriber.way);
            ids.push(heard.id);
        }
        ids.dedup();
        assert!(ids.len() == 1 && ids[0].is_some(), "the same id everywhere: {ids:?}");
    };
    let sql = "insert into customers (id, name) values (gen_random_uuid(), 'Ada Lovelace') returning id::text";
    let in_psql: String = sqlx::query_scalar(sql).fetch_one(&test.database.pool).await.unwrap();
    hear("customer.created", &json!(in_psql)).await;
    here.patch("/customers/batch", &json!({ "ids": [in_psql], "set": { "language": "de" } })).await.expect(200);
    hear("customer.updated", &json!(in_psql)).await;
    let file = form(&[], &[("people.csv", &csv("id,name\nC1,Ada Lovelace\n"))]);
    assert_eq!(here.send_bytes(FORM, Method::POST, "/customers/bulk-upload", file).await.expect(200)["successful"], 1);
    let imported = here.get("/customers?externalId=C1").await.expect(200)["data"][0]["id"].clone();
    hear("customer.created", &imported).await;
    let elsewhere = create(&there, "Ada Lovelace").await;
    hear("customer.created", &elsewhere).await;
    other.stop.cancel();
}

#[tokio::test]
async fn a_server_that_has_lost_redis_misses_nothing_or_says_so_once_on_every_transport() {
    let Some(mut redis) = Redis::start().await else { return };
    let url = redis.url.clone();
    let test = TestApp::start_with(&["--redis-url", &url]).await;
    let other = test.beside(&["--redis-url", &url, "--index-prefix", &test.database.name]).await;
    let (writer, token) = (test.client(Role::Manager).await, test.token(Role::Agent).await);
    let mut subscribers = Subscriber::all(other.address, &token, &["customers"]).await;
    create(&writer, "Ada").await;
    for subscriber in &mut subscribers {
        subscriber.heard().await;
    }
    redis.signal("KILL").await;
    let meanwhile = create(&writer, "Grace").await;
    test.settle().await;
    redis.restart().await;
    let mut heard = Vec::new();
    for subscriber in &mut subscribers {
        heard.push(vec![subscriber.heard().await]);
    }
    let next = create(&writer, "Edith").await;
    for (subscriber, heard) in subscribers.iter_mut().zip(&mut heard) {
        while heard.last().is_none_or(|last| last.data["id"] != next) {
            heard.push(subscriber.heard().await);
        }
        let count = |what: &dyn Fn(&Heard) -> bool| heard.iter().filter(|one| what(one)).count();
        let (resets, created) = (count(&|one| one.event == "reset"), count(&|one| one.data["id"] == meanwhile));
        assert!(resets <= 1 && created <= 1 && resets + created + 1 == heard.len(), "{:?}: {heard:?}", subscriber.way);
    }
    other.stop.cancel();
}

#[tokio::test]
async fn whose_rights_end_is_closed_on_every_transport() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    for end in ["log-out", "disabled", "another role"] {
        let token = test.token(Role::Viewer).await;
        let user = at(test.address(), &token);
        let path = format!("/users/{}", user.get("/auth/profile").await.expect(200)["id"].as_str().unwrap());
        let mut subscribers = Subscriber::all(test.address(), &token, &["payments"]).await;
        match end {
            "log-out" => user.post("/auth/logout", &json!({})).await.expect(204),
            "disabled" => admin.post(&format!("{path}/disable"), &json!({})).await.body,
            _ => admin.patch(&path, &json!({ "role": "agent" })).await.expect(200),
        };
        for subscriber in &mut subscribers {
            assert_eq!(subscriber.closed().await, 4401, "{end}, {:?}", subscriber.way);
        }
    }
}

#[tokio::test]
async fn who_may_hear_less_is_told_so_on_every_transport() {
    let test = TestApp::start_api(&[]).await;
    let (admin, token) = (test.admin().await, test.token(Role::Manager).await);
    let mut subscribers = Subscriber::all(test.address(), &token, &["users", "payments"]).await;
    let without = json!({ "permissions": ["read", "personal", "edit", "manage"] });
    admin.put("/roles/manager/permissions", &without).await.expect(200);
    let narrowed = Heard { event: "unsubscribed".into(), id: None, data: json!({ "topics": ["users"] }) };
    for subscriber in &mut subscribers {
        let mut heard = subscriber.heard().await;
        heard.data.as_object_mut().unwrap().remove("type");
        assert_eq!(heard, narrowed, "{:?}", subscriber.way);
    }
    assert_eq!(subscribers.len(), WAYS.len());
}
