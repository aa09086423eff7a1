//! What figures refuse.

use collections::auth::Role;

use crate::harness::app::TestApp;

#[tokio::test]
async fn a_wrong_parameter_is_named_with_what_would_be_right() {
    let test = TestApp::start_api(&[]).await;
    let client = test.client(Role::Viewer).await;
    for (query, pointer, code) in [
        ("tz=Mars", "tz", "bad_value"),
        ("from=2026-02-01&to=2026-01-31", "to", "reversed"),
        ("from=now%2B2d", "from", "reversed"),
        ("from=soon", "from", "bad_value"),
        ("to=2026-02-30", "to", "bad_value"),
        ("interval=hour", "interval", "bad_value"),
        ("currency=XYZ", "currency", "unknown_currency"),
        ("currency=euro", "currency", "unknown_currency"),
        ("from=0001-01-01&to=9999-12-31", "from", "too_long"),
        ("from=0001-01-01&interval=month", "from", "too_long"),
        ("from=2024-01-01&to=2025-06-01", "from", "too_long"),
        ("status=failed", "status", "unknown_parameter"),
    ] {
        let body = client.get(&format!("/payments/stats?{query}")).await;
        assert_eq!((body.status, body.code()), (400, "bad_parameter"), "{query}");
        let (error, detail) = (&body.body["errors"][0], body.body["detail"].as_str().unwrap());
        assert_eq!((error["pointer"].as_str(), error["code"].as_str()), (Some(pointer), Some(code)), "{query}: {}", body.body);
        assert!(detail.starts_with(pointer) && detail.len() > pointer.len() + 10, "{query}: {detail}");
    }
    let several = client.get("/payments/stats?tz=Mars&interval=x&currency=1").await.expect(400);
    assert_eq!(several["errors"].as_array().unwrap().len(), 3, "{several}");
    for (query, pointer) in [("interval=day", "interval"), ("from=2026-01-01&to=2026-06-01", "from")] {
        let body = client.get(&format!("/payments/failures?{query}")).await.expect(400);
        assert_eq!(body["errors"][0]["pointer"], pointer, "{body}");
    }
    // Up to the limits it is answered.
    for query in
        ["from=2026-01-01&to=2027-02-04", "interval=month&from=1995-01-01&to=2028-01-01", "to=0001-01-10", "to=9999-12-31"]
    {
        client.get(&format!("/payments/stats?{query}")).await.expect(200);
    }
    client.get("/payments/failures?from=2026-01-01&to=2026-04-02").await.expect(200);
}
