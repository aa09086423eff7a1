//! A forgotten password: the answer tells nothing, the mailed token is good once and for half an hour.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use chrono::TimeDelta;
use collections::auth::Role;
use collections::features::users::deliver_due;
use serde_json::{Value, json};

use super::{Mailed, NEW_PASSWORD, bare, faults, log_in, make, path, signed_in, token_of};
use crate::harness::app::TestApp;

const ASK: &str = "/auth/password/reset-request";
const RESET: &str = "/auth/password/reset";
const OTHER_PASSWORD: &str = "another long password";

fn reset(token: &str) -> Value {
    json!({ "token": token, "password": OTHER_PASSWORD })
}

#[tokio::test]
async fn known_and_unknown_users_get_the_same_answer() {
    let mailed = Mailed::start(&[]).await;
    let (test, admin) = (&mailed.test, mailed.test.admin().await);
    make(&admin, "ann", Role::Agent).await;
    let gone = make(&admin, "gone", Role::Agent).await;
    admin.delete(&path(&gone)).await.expect(204);
    test.user("addressless", Role::Agent).await;
    let mut answers = Vec::new();
    for body in [
        json!({ "email": "ann@example.org" }),
        json!({ "username": "ANN" }),
        json!({ "login": "unknown@example.org" }),
        json!({ "email": "' or 1=1 --" }),
        json!({ "username": "gone" }),
        json!({ "username": "addressless" }),
    ] {
        answers.push(bare(test.anonymous().post(ASK, &body).await));
    }
    assert!(answers.iter().all(|answer| *answer == (202, Value::Null)), "{answers:?}");
    // Asked for twice, it is sent once.
    let mail = mailed.deliver().await;
    assert_eq!(mail.len(), 1, "{mail:?}");
    assert!(mail[0].contains("To: ann@example.org") && mail[0].contains("user ann"), "{}", mail[0]);
    let left: i64 = sqlx::query_scalar("select count(*) from one_time_tokens").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(left, 1, "nothing is kept of what was not sent");
    for body in
        [json!({}), json!({ "email": null }), json!({ "email": "a", "username": "b" }), json!({ "email": "x".repeat(300) })]
    {
        assert_eq!(test.anonymous().post(ASK, &body).await.status, 422, "{body}");
    }
}

#[tokio::test]
async fn a_token_sets_one_password_and_ends_all_sessions() {
    let mailed = Mailed::start(&[]).await;
    let (test, admin, anonymous) = (&mailed.test, mailed.test.admin().await, mailed.test.anonymous());
    make(&admin, "ann", Role::Agent).await;
    let ann = signed_in(test, "ann").await;
    anonymous.post(ASK, &json!({ "username": "ann" })).await.expect(202);
    let token = mailed.token().await;
    let stored: Vec<u8> = sqlx::query_scalar("select hash from one_time_tokens").fetch_one(&test.database.pool).await.unwrap();
    assert!(stored.len() == 32 && !String::from_utf8_lossy(&stored).contains(&token), "only a hash is stored");

    for (body, expected) in [
        (json!({ "token": token, "password": "short" }), "/password too_short"),
        (json!({ "token": token, "password": "ann@example.org" }), "/password is_a_name"),
        (json!({ "token": "x", "password": OTHER_PASSWORD }), "/token bad_token"),
        (json!({ "token": "", "password": OTHER_PASSWORD }), "/token bad_token"),
    ] {
        assert_eq!(faults(anonymous.post(RESET, &body).await), [expected], "{body}");
    }
    ann.get("/auth/me").await.expect(200);
    anonymous.post(RESET, &reset(&token)).await.expect(204);
    ann.get("/auth/me").await.expect(401);
    assert_eq!(faults(anonymous.post(RESET, &reset(&token)).await), ["/token bad_token"]);
    log_in(test, "ann", NEW_PASSWORD).await.expect(401);
    log_in(test, "ann", OTHER_PASSWORD).await.expect(200);
    // It is no access token either.
    anonymous.with_token(&token).get("/auth/me").await.expect(401);
}

#[tokio::test]
async fn a_token_is_good_for_half_an_hour_and_until_the_next() {
    let mailed = Mailed::start(&[]).await;
    let (test, anonymous) = (&mailed.test, mailed.test.anonymous());
    make(&test.admin().await, "ann", Role::Agent).await;
    let ask = async || anonymous.post(ASK, &json!({ "email": "ann@example.org" })).await.expect(202);
    ask().await;
    let first = mailed.token().await;
    test.clock.advance(TimeDelta::minutes(31));
    assert_eq!(faults(anonymous.post(RESET, &reset(&first)).await), ["/token bad_token"]);
    ask().await;
    let second = mailed.token().await;
    test.clock.advance(TimeDelta::minutes(2));
    ask().await;
    let third = mailed.token().await;
    assert_eq!(faults(anonymous.post(RESET, &reset(&second)).await), ["/token bad_token"]);
    test.clock.advance(TimeDelta::minutes(29));
    anonymous.post(RESET, &reset(&third)).await.expect(204);
}

#[tokio::test]
async fn an_admin_has_a_user_choose_a_password() {
    let mailed = Mailed::start(&[]).await;
    let (test, admin) = (&mailed.test, mailed.test.admin().await);
    let ann = make(&admin, "ann", Role::Agent).await;
    admin.post(&format!("{}/password", path(&ann)), &json!({})).await.expect(204);
    log_in(test, "ann", NEW_PASSWORD).await.expect(200);
    let token = mailed.token().await;
    test.anonymous().post(RESET, &reset(&token)).await.expect(204);
    log_in(test, "ann", OTHER_PASSWORD).await.expect(200);
    // What was mailed before is good for nothing once the password or the address is another one.
    for change in ["email", "password"] {
        test.clock.advance(TimeDelta::minutes(2));
        let admin = test.admin().await;
        admin.post(&format!("{}/password", path(&ann)), &json!({})).await.expect(204);
        let token = mailed.token().await;
        match change {
            "email" => admin.patch(&path(&ann), &json!({ "email": "ann@example.com" })).await.expect(200),
            _ => admin.post(&format!("{}/password", path(&ann)), &json!({ "password": NEW_PASSWORD })).await.expect(204),
        };
        assert_eq!(faults(test.anonymous().post(RESET, &reset(&token)).await), ["/token bad_token"], "{change}");
    }
    admin.patch(&path(&ann), &json!({ "email": null })).await.expect(200);
    assert_eq!(admin.post(&format!("{}/password", path(&ann)), &json!({})).await.code(), "no_address");
}

#[tokio::test]
async fn mail_that_cannot_be_sent_is_sent_later() {
    let mailed = Mailed::start(&[]).await;
    let (test, anonymous) = (&mailed.test, mailed.test.anonymous());
    make(&test.admin().await, "ann", Role::Agent).await;
    // A file is where the folder should be.
    std::fs::write(&mailed.folder, "").unwrap();
    anonymous.post(ASK, &json!({ "username": "ann" })).await.expect(202);
    assert_eq!(mailed.deliver().await.len(), 0);
    std::fs::remove_file(&mailed.folder).unwrap();
    assert_eq!(mailed.deliver().await.len(), 0, "it is not tried again at once");
    test.clock.advance(TimeDelta::minutes(2));
    let token = mailed.token().await;
    anonymous.post(RESET, &reset(&token)).await.expect(204);
}

/// Says to a client that its mail is taken, and returns what the client said.
fn mail_server(listener: &TcpListener) -> Vec<String> {
    let (mut stream, _) = listener.accept().unwrap();
    let (mut lines, mut heard, mut is_in_mail) = (BufReader::new(stream.try_clone().unwrap()).lines(), Vec::new(), false);
    let mut say = |text: &str| stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    say("220 test");
    while let Some(Ok(line)) = lines.next() {
        match line.split([' ', ':']).next().unwrap_or_default() {
            "." => is_in_mail = false,
            "DATA" => is_in_mail = true,
            "QUIT" => break,
            _ => {}
        }
        if line == "DATA" {
            say("354 go on");
        } else if !is_in_mail {
            say("250 fine");
        }
        heard.push(line);
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_through_the_server_of_the_settings() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let test = TestApp::start_api(&["--smtp-url", &url, "--mail-from", "Desk <desk@example.com>"]).await;
    make(&test.admin().await, "ann", Role::Agent).await;
    test.anonymous().post(ASK, &json!({ "username": "ann" })).await.expect(202);
    let heard = tokio::task::spawn_blocking(move || mail_server(&listener));
    deliver_due(&test.app).await.unwrap();
    let heard = heard.await.unwrap();
    for expected in ["MAIL FROM:<desk@example.com>", "RCPT TO:<ann@example.org>", "To: ann@example.org"] {
        assert!(heard.iter().any(|line| line.starts_with(expected)), "{expected}: {heard:?}");
    }
    let token = token_of(&heard.join("\n"));
    test.anonymous().post(RESET, &reset(&token)).await.expect(204);
}
