//! Registration: open, with an invitation, or not at all.

use chrono::TimeDelta;
use collections::auth::Role;
use serde_json::{Value, json};

use super::{Mailed, NEW_PASSWORD, faults, log_in, make};
use crate::harness::app::TestApp;

fn new(username: &str) -> Value {
    json!({ "username": username, "password": NEW_PASSWORD })
}

fn invited(username: &str, token: &str) -> Value {
    json!({ "username": username, "password": NEW_PASSWORD, "name": "Invited", "invitation": token })
}

#[tokio::test]
async fn who_registers_is_a_viewer_and_signed_in() {
    let test = TestApp::start_api(&["--registration", "open"]).await;
    let mut body = new("ann");
    body["role"] = json!("admin");
    body["email"] = json!("ann@example.org");
    let registered = test.anonymous().post("/api/auth/register", &body).await;
    assert_eq!(registered.status, 201, "{}", registered.body);
    assert_eq!((&registered.body["user"]["role"], &registered.body["token_type"]), (&json!("viewer"), &json!("Bearer")));
    let ann = test.anonymous().with_token(registered.body["access_token"].as_str().unwrap());
    assert_eq!(ann.get("/auth/me").await.expect(200)["username"], "ann");
    ann.post("/customers", &json!({ "name": "X" })).await.expect(403);
    // With the same members as a log-in answers.
    let logged_in = log_in(&test, "ann", NEW_PASSWORD).await.expect(200);
    let members = |body: &Value| body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&registered.body), members(&logged_in));

    assert_eq!(test.anonymous().post("/auth/register", &new("ANN")).await.code(), "username_taken");
    assert_eq!(faults(test.anonymous().post("/auth/register", &json!({ "username": "bob" })).await), ["/password required"]);
    let forged = test.anonymous().with_token("forged").post("/auth/register", &new("bob")).await;
    assert_eq!(forged.status, 401, "{}", forged.body);
}

#[tokio::test]
async fn only_an_admin_registers_users_with_a_role_or_in_spite_of_the_setting() {
    for mode in ["open", "invite", "off"] {
        let test = TestApp::start_api(&["--registration", mode]).await;
        let mut body = new("ann");
        body["role"] = json!("manager");
        let manager = test.client(Role::Manager).await.post("/auth/register", &body).await;
        if mode == "open" {
            assert_eq!(manager.expect(201)["user"]["role"], "viewer");
        } else {
            assert_eq!((manager.status, manager.code()), (409, "registration_closed"), "{mode}");
        }
        body["username"] = json!("bob");
        let admin = test.admin().await.post("/auth/register", &body).await;
        assert_eq!(admin.expect(201)["user"]["role"], "manager", "{mode}");
    }
}

#[tokio::test]
async fn an_invitation_makes_one_user_of_its_role_and_address() {
    let mailed = Mailed::start(&["--registration", "invite"]).await;
    let (test, anonymous) = (&mailed.test, mailed.test.anonymous());
    assert_eq!(anonymous.post("/auth/register", &new("ann")).await.code(), "registration_closed");
    let admin = test.admin().await;
    let invitation = admin.post("/users/invitations", &json!({ "email": "Ann@example.org", "role": "manager" })).await;
    assert_eq!(invitation.status, 201, "{}", invitation.body);
    let mail = mailed.deliver().await;
    assert!(mail.len() == 1 && mail[0].contains("To: Ann@example.org"), "{mail:?}");
    let token = super::token_of(&mail[0]);
    assert!(!invitation.text.contains(&token));

    assert_eq!(faults(anonymous.post("/auth/register", &invited("ann", "another token")).await), ["/invitation bad_token"]);
    let mut body = invited("ann", &token);
    body["role"] = json!("admin");
    body["email"] = json!("other@example.org");
    let registered = anonymous.post("/auth/register", &body).await.expect(201);
    assert_eq!((&registered["user"]["role"], &registered["user"]["email"]), (&json!("manager"), &json!("Ann@example.org")));
    assert_eq!(faults(anonymous.post("/auth/register", &invited("ann2", &token)).await), ["/invitation bad_token"]);
    let taken = admin.post("/users/invitations", &json!({ "email": "ann@example.org" })).await;
    assert_eq!(taken.code(), "email_taken");
}

#[tokio::test]
async fn an_invitation_is_used_once_by_many_at_once() {
    let mailed = Mailed::start(&[]).await;
    mailed.test.admin().await.post("/users/invitations", &json!({ "email": "ann@example.org" })).await.expect(201);
    let token = mailed.token().await;
    let names = ["ann1", "ann2", "ann3", "ann4"];
    let all = names.map(|name| (mailed.test.anonymous(), invited(name, &token)));
    let all = all.iter().map(async |(client, body)| client.post("/auth/register", body).await.status);
    let mut statuses = futures_util::future::join_all(all).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422, 422, 422]);
}

#[tokio::test]
async fn an_invitation_expires_and_is_replaced_by_the_next() {
    let mailed = Mailed::start(&[]).await;
    let (test, anonymous) = (&mailed.test, mailed.test.anonymous());
    let (admin, body) = (test.admin().await, json!({ "email": "ann@example.org", "role": "agent" }));
    admin.post("/users/invitations", &body).await.expect(201);
    let first = mailed.token().await;
    test.clock.advance(TimeDelta::days(6));
    let admin = test.admin().await;
    admin.post("/users/invitations", &body).await.expect(201);
    let second = mailed.token().await;
    assert_eq!(faults(anonymous.post("/auth/register", &invited("ann", &first)).await), ["/invitation bad_token"]);
    test.clock.advance(TimeDelta::days(7) + TimeDelta::minutes(1));
    assert_eq!(faults(anonymous.post("/auth/register", &invited("ann", &second)).await), ["/invitation bad_token"]);
    test.admin().await.post("/users/invitations", &body).await.expect(201);
    let third = mailed.token().await;
    anonymous.post("/auth/register", &invited("ann", &third)).await.expect(201);
}

#[tokio::test]
async fn without_registration_there_are_no_invitations() {
    let test = TestApp::start_api(&["--registration", "off"]).await;
    let admin = test.admin().await;
    make(&admin, "ann", Role::Agent).await;
    let refused = admin.post("/users/invitations", &json!({ "email": "bob@example.org" })).await;
    assert_eq!(refused.code(), "registration_closed");
    for body in [new("bob"), invited("bob", "a token")] {
        assert_eq!(test.anonymous().post("/auth/register", &body).await.code(), "registration_closed");
    }
    for (body, expected) in [
        (json!({}), "/email required"),
        (json!({ "email": "nowhere" }), "/email not_a_contact"),
        (json!({ "email": "bob@example.org", "role": "king" }), "/role unknown_value"),
        (json!({ "email": "bob@example.org", "token": "mine" }), "/token unknown_member"),
    ] {
        assert_eq!(faults(admin.post("/users/invitations", &body).await), [expected], "{body}");
    }
}
