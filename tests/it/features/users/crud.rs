//! Users are listed, made, changed and disabled; an enabled admin is always left.

use collections::auth::Role;
use serde_json::json;

use super::{NEW_PASSWORD, faults, log_in, make, path, signed_in};
use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::process;

#[tokio::test]
async fn a_user_is_made_read_changed_and_disabled() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let body = json!({
        "username": "maria", "password": NEW_PASSWORD, "role": "Agent", "email": "Maria@example.org", "name": "María López",
    });
    let keyed = admin.with("idempotency-key", "once");
    let made = keyed.post("/users", &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let user = &made.body;
    assert_eq!(made.header("location"), format!("/api/v1{}", path(user)));
    assert_eq!(
        (&user["username"], &user["role"], &user["email"], &user["name"], &user["isActive"]),
        (&json!("maria"), &json!("agent"), &json!("Maria@example.org"), &json!("María López"), &json!(true))
    );
    assert!(user["createdBy"].is_string() && user["createdAt"].is_string() && user["updatedAt"].is_string(), "{user}");
    assert!(!made.text.contains("argon2") && !made.text.contains("password"), "{}", made.text);
    let again = keyed.post("/users", &body).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", user));

    let read = admin.get(&path(user)).await;
    assert_eq!((&read.body, read.header("etag")), (user, made.header("etag")));
    log_in(&test, "maria", NEW_PASSWORD).await.expect(200);

    // What was read can be sent back.
    let mut whole = read.body.clone();
    whole["name"] = json!("Maria Lopez");
    whole["email"] = json!(null);
    let changed = admin.with("if-match", read.header("etag")).patch(&path(user), &whole).await.expect(200);
    assert_eq!((&changed["name"], &changed["email"]), (&json!("Maria Lopez"), &json!(null)));
    let stale = admin.with("if-match", read.header("etag")).patch(&path(user), &json!({ "name": "M" })).await;
    assert_eq!((stale.status, &stale.body["currentVersion"]), (412, &changed["version"]));

    for disable in [0, 1] {
        match disable {
            0 => admin.patch(&path(user), &json!({ "isActive": false })).await.expect(200),
            _ => admin.delete(&path(user)).await.expect(204),
        };
        log_in(&test, "maria", NEW_PASSWORD).await.expect(401);
        let read = admin.get(&path(user)).await.expect(200);
        assert!(read["disabledAt"].is_string() && read["isActive"] == false, "{read}");
        admin.delete(&path(user)).await.expect(204);
        assert_eq!(admin.get(&path(user)).await.expect(200)["disabledAt"], read["disabledAt"], "disabled once");
        admin.post(&format!("{}/enable", path(user)), &json!({})).await.expect(200);
        log_in(&test, "maria", NEW_PASSWORD).await.expect(200);
    }
    let absent = "/users/00000000-0000-7000-8000-000000000000";
    assert_eq!(admin.get(absent).await.code(), "not_found");
    assert_eq!(admin.delete(absent).await.code(), "not_found");
}

#[tokio::test]
async fn a_list_finds_users_by_words_of_their_names_and_addresses() {
    let test = TestApp::start_api(&[]).await;
    test.user("zoe", Role::Admin).await;
    let admin = test.sign_in("zoe").await;
    for (username, role, name) in
        [("ann", Role::Agent, "Ann Müller"), ("bob", Role::Viewer, "Bob Smith"), ("cid", Role::Agent, "Cid Smith")]
    {
        let user = make(&admin, username, role).await;
        admin.patch(&path(&user), &json!({ "name": name, "isActive": username != "cid" })).await.expect(200);
    }
    let listed = async |query: &str| {
        let page = admin.get(&format!("/users{query}")).await.expect(200);
        let names: Vec<String> = page["data"].as_array().unwrap().iter().map(|user| user["username"].to_string()).collect();
        (names.join(",").replace('"', ""), page["total"].as_u64().unwrap())
    };
    for (query, expected) in [
        ("", "ann,bob,cid,zoe"),
        ("?q=smith", "bob,cid"),
        ("?q=SMITH+b", "bob"),
        ("?q=muller", "ann"),
        ("?search=example+org", "ann,bob,cid"),
        ("?q=%25", "ann,bob,cid,zoe"),
        ("?q=nothing", ""),
        ("?role=agent", "ann,cid"),
        ("?role=agent,VIEWER&disabled=false", "ann,bob"),
        ("?disabled=true", "cid"),
    ] {
        let total = expected.split(',').filter(|name| !name.is_empty()).count() as u64;
        assert_eq!(listed(query).await, (expected.to_owned(), total), "{query}");
    }

    // By pages.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/users?limit=3&cursor={cursor}")).await;
        assert_eq!(page.header("x-total-count"), "4");
        assert_eq!(page.header("link").contains("rel=\"next\""), page.body["nextCursor"].is_string());
        seen.extend(page.body["data"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()));
        match page.body["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["ann", "bob", "cid", "zoe"]);

    // Older clients know no pages.
    let bare = admin.get("/api/users").await.expect(200);
    assert_eq!(bare.as_array().unwrap().len(), 4, "{bare}");
    for user in bare.as_array().unwrap() {
        for member in ["id", "username", "role", "createdAt", "updatedAt"] {
            assert!(user[member].is_string(), "{member} of {user}");
        }
    }
    for wrong in ["limit=0", "limit=1001", "cursor=x", "role=king", "colour=red", "disabled=perhaps"] {
        assert_eq!(
            admin.get(&format!("/users?{wrong}")).await.code(),
            "bad_parameter".replace("parameter", if wrong == "cursor=x" { "cursor" } else { "parameter" }),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_a_user_is_refused() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let long = "x".repeat(300);
    let with = |more: serde_json::Value| {
        let mut body = json!({ "username": "eve", "password": NEW_PASSWORD });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, expected) in [
        (json!({}), &["/password required", "/username required"][..]),
        (json!([]), &[" wrong_type"]),
        (with(json!({ "username": "e" })), &["/username too_short"]),
        (with(json!({ "username": long, "name": long })), &["/name too_long", "/username too_long"]),
        (with(json!({ "username": null })), &["/username required"]),
        (with(json!({ "username": "\u{200b}\u{200b}" })), &["/username invisible"]),
        (with(json!({ "username": "ann@example.org" })), &["/username not_acceptable"]),
        (with(json!({ "username": "a\u{0}b" })), &["/username unstorable_text"]),
        (with(json!({ "email": "nowhere" })), &["/email not_a_contact"]),
        (with(json!({ "role": "king" })), &["/role unknown_value"]),
        (with(json!({ "role": { "$ne": 1 } })), &["/role wrong_type"]),
        (with(json!({ "password": "1234567" })), &["/password too_short"]),
        (with(json!({ "password": "Password1" })), &["/password too_common"]),
        (with(json!({ "username": "maria.lopez", "password": "Maria.Lopez" })), &["/password is_a_name"]),
        (with(json!({ "password": ["a purple bicycle"] })), &["/password required", "/password wrong_type"]),
        (
            with(json!({ "passwordHash": "x", "version": 7, "isAdmin": true })),
            &["/isAdmin unknown_member", "/passwordHash unknown_member", "/version unknown_member"],
        ),
    ] {
        assert_eq!(faults(admin.post("/users", &body).await), expected, "{body}");
    }
    make(&admin, "ann", Role::Agent).await;
    for (more, code) in [(json!({ "username": "ANN" }), "username_taken"), (json!({ "email": "Ann@Example.org" }), "email_taken")]
    {
        let taken = admin.post("/users", &with(more)).await;
        assert_eq!((taken.status, taken.code()), (409, code));
    }
    let eve = make(&admin, "eve", Role::Agent).await;
    for (change, expected) in [
        (json!({ "password": "another password" }), &["/password unknown_member"][..]),
        (json!({ "id": "00000000-0000-7000-8000-000000000000" }), &["/id not_changeable"]),
        (
            json!({ "createdBy": null, "disabledAt": "2026-01-01T00:00:00Z" }),
            &["/createdBy not_changeable", "/disabledAt not_changeable"],
        ),
        (json!({ "isActive": "no" }), &["/isActive wrong_type"]),
    ] {
        assert_eq!(faults(admin.patch(&path(&eve), &change).await), expected, "{change}");
    }
    assert_eq!(admin.patch(&path(&eve), &json!({ "username": "Ann" })).await.code(), "username_taken");
    assert_eq!(admin.patch(&path(&eve), &json!({ "email": "ann@example.org" })).await.code(), "email_taken");
}

#[tokio::test]
async fn two_admins_with_one_version_change_a_user_once() {
    let test = TestApp::start_api(&[]).await;
    let (one, two) = (test.admin().await, test.admin().await);
    let user = make(&one, "ann", Role::Agent).await;
    let tag = one.get(&path(&user)).await;
    let change = async |admin: &Client, name: &str| {
        admin.with("if-match", tag.header("etag")).patch(&path(&user), &json!({ "name": name })).await.status
    };
    let (first, second) = tokio::join!(change(&one, "One"), change(&two, "Two"));
    let mut statuses = [first, second];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

#[tokio::test]
async fn an_enabled_admin_is_left_whatever_admins_do() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let own = format!("/users/{}", admin.get("/auth/me").await.expect(200)["id"].as_str().unwrap());
    for answer in [
        admin.delete(&own).await,
        admin.post(&format!("{own}/disable"), &json!({})).await,
        admin.patch(&own, &json!({ "isActive": false })).await,
        admin.patch(&own, &json!({ "role": "viewer" })).await,
        admin.post(&format!("{own}/password"), &json!({ "password": NEW_PASSWORD })).await,
    ] {
        assert_eq!((answer.status, answer.code()), (409, "own_user"));
    }
    admin.patch(&own, &json!({ "name": "Boss" })).await.expect(200);

    // Of two who disable each other at the same moment, one stays.
    let (one, two) = (make(&admin, "one", Role::Admin).await, make(&admin, "two", Role::Admin).await);
    let (as_one, as_two) = (signed_in(&test, "one").await, signed_in(&test, "two").await);
    as_one.delete(&own).await.expect(204);
    let (path_one, path_two) = (path(&one), path(&two));
    let (first, second) = tokio::join!(as_one.delete(&path_two), as_two.delete(&path_one));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert!(statuses == [204, 401] || statuses == [204, 409], "{statuses:?}");
    let left: Vec<String> = sqlx::query_scalar("select username from users where role = 'admin' and disabled_at is null")
        .fetch_all(&test.database.pool)
        .await
        .unwrap();
    assert_eq!(left.len(), 1);

    for arguments in [&["disable", &left[0]][..], &["role", &left[0], "viewer"]] {
        let status = process::command(&test.database).arg("user").args(arguments).status().await.unwrap();
        assert!(!status.success(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_changed_user_is_signed_out_by_the_time_of_the_answer() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let user = make(&admin, "ann", Role::Agent).await;
    for change in [json!({ "role": "viewer" }), json!({ "isActive": false })] {
        let ann = signed_in(&test, "ann").await;
        ann.get("/auth/me").await.expect(200);
        admin.patch(&path(&user), &change).await.expect(200);
        ann.get("/auth/me").await.expect(401);
    }
    admin.post(&format!("{}/enable", path(&user)), &json!({})).await.expect(200);
    let ann = signed_in(&test, "ann").await;
    ann.get("/auth/me").await.expect(200);
    let password = json!({ "password": "another long password" });
    admin.post(&format!("{}/password", path(&user)), &password).await.expect(204);
    ann.get("/auth/me").await.expect(401);
    log_in(&test, "ann", NEW_PASSWORD).await.expect(401);
    log_in(&test, "ann", "another long password").await.expect(200);
}
