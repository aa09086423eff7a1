//! What users do with their own user.

use collections::auth::Role;
use serde_json::json;

use super::{NEW_PASSWORD, faults, log_in, make, signed_in};
use crate::harness::app::TestApp;

const OTHER_PASSWORD: &str = "another long password";

#[tokio::test]
async fn users_change_their_name_and_with_the_password_their_address() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    make(&admin, "ann", Role::Viewer).await;
    make(&admin, "bob", Role::Viewer).await;
    let ann = signed_in(&test, "ann").await;
    let read = ann.get("/auth/profile").await;
    let mut whole = read.body.clone();
    whole["name"] = json!("Ann Lee");
    let changed = ann.with("if-match", read.header("etag")).patch("/auth/profile", &whole).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let now = ann.get("/auth/profile").await;
    assert_eq!((&now.body, now.header("etag")), (&changed.body, changed.header("etag")));
    assert_eq!(now.body["name"], "Ann Lee");
    assert_eq!(ann.with("if-match", read.header("etag")).patch("/auth/profile", &whole).await.code(), "stale");

    for (body, expected) in [
        (json!({ "email": "ann@example.com" }), &["/currentPassword required"][..]),
        (json!({ "email": "ann@example.com", "currentPassword": "wrong" }), &["/currentPassword wrong_password"]),
        (json!({ "email": "nowhere", "currentPassword": NEW_PASSWORD }), &["/email not_a_contact"]),
        (json!({ "role": "admin" }), &["/role not_changeable"]),
        (
            json!({ "username": "boss", "permissions": ["administer"] }),
            &["/permissions not_changeable", "/username not_changeable"],
        ),
        (json!({ "password": OTHER_PASSWORD }), &["/password unknown_member"]),
    ] {
        assert_eq!(faults(ann.patch("/auth/profile", &body).await), expected, "{body}");
    }
    let taken = json!({ "email": "BOB@example.org", "currentPassword": NEW_PASSWORD });
    assert_eq!(ann.patch("/auth/profile", &taken).await.code(), "email_taken");
    let moved = json!({ "email": "ann@example.com", "currentPassword": NEW_PASSWORD });
    assert_eq!(ann.patch("/auth/profile", &moved).await.expect(200)["email"], "ann@example.com");
    log_in(&test, "ann@example.com", NEW_PASSWORD).await.expect(200);
    log_in(&test, "ann@example.org", NEW_PASSWORD).await.expect(401);
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_not_this_one() {
    let test = TestApp::start_api(&[]).await;
    make(&test.admin().await, "ann", Role::Viewer).await;
    let (ann, other) = (signed_in(&test, "ann").await, signed_in(&test, "ann").await);
    for (body, expected) in [
        (json!({ "currentPassword": "wrong", "newPassword": OTHER_PASSWORD }), "/currentPassword wrong_password"),
        (json!({ "currentPassword": NEW_PASSWORD, "newPassword": "short" }), "/newPassword too_short"),
        (json!({ "currentPassword": NEW_PASSWORD, "newPassword": "Ann@Example.org" }), "/newPassword is_a_name"),
    ] {
        assert_eq!(faults(ann.post("/auth/password", &body).await), [expected], "{body}");
    }
    other.get("/auth/me").await.expect(200);
    let body = json!({ "oldPassword": NEW_PASSWORD, "newPassword": OTHER_PASSWORD });
    ann.post("/auth/password", &body).await.expect(204);
    ann.get("/auth/me").await.expect(200);
    other.get("/auth/me").await.expect(401);
    log_in(&test, "ann", NEW_PASSWORD).await.expect(401);
    log_in(&test, "ann", OTHER_PASSWORD).await.expect(200);
}
