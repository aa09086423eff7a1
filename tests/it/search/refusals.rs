//! What makes no sense is refused with its place and what would be right, or is found nowhere; both engines alike.

use serde_json::{Value, json};

use super::lists::{ENGINES, Lists};

#[tokio::test]
async fn unknown_names_are_refused_with_the_nearest_one() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        for (query, code, meant) in [
            ("due_date=2026-01-01", "unknown_parameter", "did you mean dueDate?"),
            ("statsu=open", "unknown_parameter", "did you mean status?"),
            ("pagesize=10", "unknown_parameter", "did you mean pageSize?"),
            ("dayspastdue=1", "unknown_parameter", "did you mean daysPastDue?"),
            ("balance[gtee]=1", "unknown_operator", "did you mean gte?"),
            ("sort=-createdat", "unknown_field", "did you mean createdAt?"),
            ("sort=ballance:nullsFirst", "unknown_field", "did you mean balance?"),
            ("fields=customer_name", "unknown_member", "did you mean customerName?"),
        ] {
            let body = lists.client.get(&format!("/accounts?{query}")).await.expect(400);
            assert_eq!(body["errors"][0]["code"], code, "{query}: {body}");
            assert!(body["errors"][0]["message"].as_str().unwrap().contains(meant), "{query}: {body}");
        }
    }
}

/// A chain of `not` around a condition.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!({ "field": "status", "value": "open" }), |inner, _| json!({ "not": inner }))
}

/// So many alternatives.
fn many(count: usize) -> Value {
    json!({ "or": vec![json!({ "field": "status", "value": "open" }); count] })
}

#[tokio::test]
async fn a_wrong_body_is_refused_with_its_place() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        for (body, pointer, code) in [
            (json!({ "filters": {} }), "/filters", "unknown_member"),
            (json!({ "a/b~": 1 }), "/a~1b~0", "unknown_member"),
            (json!({ "q": 5 }), "/q", "wrong_type"),
            (json!({ "limit": "5" }), "/limit", "wrong_type"),
            (json!({ "limit": 0 }), "/limit", "bad_value"),
            (json!({ "limit": 1.5 }), "/limit", "bad_value"),
            (json!({ "page": -1 }), "/page", "bad_value"),
            (json!({ "sort": [1] }), "/sort", "wrong_type"),
            (json!({ "sort": ["colour"] }), "/sort", "unknown_field"),
            (json!({ "tz": "Mars" }), "/tz", "bad_value"),
            (json!({ "count": "all" }), "/count", "bad_value"),
            (json!({ "includeDeleted": "yes" }), "/includeDeleted", "wrong_type"),
            (json!({ "fields": ["colour"] }), "/fields", "unknown_member"),
            (json!({ "filter": [] }), "/filter", "wrong_type"),
            (json!({ "filter": {} }), "/filter", "required"),
            (json!({ "filter": { "and": [] } }), "/filter", "bad_value"),
            (json!({ "filter": { "and": {} } }), "/filter", "wrong_type"),
            (json!({ "filter": { "and": [5] } }), "/filter/and/0", "wrong_type"),
            (json!({ "filter": { "field": "status", "value": null } }), "/filter", "bad_value"),
            (json!({ "filter": { "field": "status", "value": {} } }), "/filter", "wrong_type"),
            (json!({ "filter": { "field": "status", "value": [] } }), "/filter", "bad_value"),
            (json!({ "filter": { "field": "status" } }), "/filter", "required"),
            (json!({ "filter": { "field": 5, "value": 1 } }), "/filter", "wrong_type"),
            (json!({ "filter": { "feild": "status", "value": 1 } }), "/filter", "unknown_member"),
            (json!({ "filter": { "and": [nested(0)], "field": "status" } }), "/filter", "contradiction"),
            (json!({ "filter": { "or": [nested(0), { "field": "colour", "value": 1 }] } }), "/filter/or/1", "unknown_parameter"),
            (
                json!({ "filter": { "not": { "field": "status", "op": "gt", "value": "open" } } }),
                "/filter/not",
                "unknown_operator",
            ),
            (json!({ "filter": { "field": "balance", "op": "between", "value": [1] } }), "/filter", "bad_value"),
            (json!({ "filter": { "field": "balance", "op": "gte", "value": [1, 2] } }), "/filter", "bad_value"),
            (json!({ "filter": nested(4) }), "/filter/not/not/not", "too_deep"),
            (json!({ "filter": nested(50) }), "/filter/not/not/not", "too_deep"),
            (json!({ "filter": many(31) }), "", "too_many_conditions"),
            (json!({ "filter": many(1_000) }), "", "too_many_conditions"),
        ] {
            let answer = lists.client.post("/accounts/search", &body).await.expect(400);
            let found = json!([answer["code"], answer["errors"][0]["pointer"], answer["errors"][0]["code"]]);
            assert_eq!(found, json!(["bad_parameter", pointer, code]), "{body}: {answer}");
        }
        for body in [json!({ "filter": nested(3) }), json!({ "filter": many(30) }), json!({})] {
            lists.client.post("/accounts/search", &body).await.expect(200);
        }
        for body in ["", "{", "[]", "null", r#"{"q":"a","q":"b"}"#, r#"{"q":"a\u0000"}"#, r#"{"limit":1e999}"#] {
            let answer = lists.client.send_text(reqwest::Method::POST, "/accounts/search", body).await;
            assert!([400, 422].contains(&answer.status), "{body}: {answer:?}");
        }
        let answer = lists.client.post("/accounts/search?status=open", &json!({})).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_parameter"));
    }
}

#[tokio::test]
async fn strange_texts_find_nothing_and_break_nothing() {
    let long = "a".repeat(10_000);
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        for text in [
            "x",
            "*",
            "\"",
            "\\",
            "/../",
            "name:(a OR b)~2^3",
            "'; drop table customers; --",
            "%",
            "_",
            "😀",
            "שלום",
            "\u{202e}abc",
        ] {
            let escaped: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            for query in ["q", "externalId", "externalId[prefix]", "name", "name[prefix]", "tags"] {
                let body = lists.client.get(&format!("/customers?{query}={escaped}")).await.expect(200);
                assert!(body["data"].as_array().unwrap().len() <= 8, "{query}={text}");
            }
            let status = lists.client.get(&format!("/customers?name[match]={escaped}")).await.status;
            assert!([200, 400].contains(&status), "{text}");
        }
        for query in
            ["q", "externalId", "externalId[prefix]", "name", "name[match]", "sort", "fields", "cursor", "tz", "status", "colour"]
        {
            lists.client.get(&format!("/customers?{query}={long}")).await.expect(400);
        }
        // What is missing is no value, and a range that ends before it begins holds none.
        for query in [
            "externalId=",
            "tags=",
            "dateOfBirth[between]=2000-01-01,1990-01-01",
            "dateOfBirth[gte]=2000-01-01&dateOfBirth[lte]=1990-01-01",
            "from=2026-02-01&to=2026-01-01",
            "balance[between]=10,5",
            "accountCount[gt]=5&accountCount[lt]=5",
        ] {
            lists.check(&format!("/customers?{query}"), "externalId", &[]).await;
        }
        for (query, code) in [
            ("page=0", "bad_value"),
            ("page=-1", "bad_value"),
            ("page=1e9", "bad_value"),
            ("page=1000000000", "too_deep"),
            ("page=99999999999999999999", "bad_value"),
            ("limit=0", "bad_value"),
            ("limit=1001", "bad_value"),
            ("limit=abc", "bad_value"),
            ("limit=", "bad_value"),
            ("status=", "bad_value"),
            ("dateOfBirth=2026-02-30", "bad_value"),
            ("dateOfBirth=2026-13-01", "bad_value"),
            ("createdAt[gte]=2026-01-01T25:00:00", "bad_value"),
            ("accountCount=9223372036854775808", "bad_value"),
            ("balance[gte]=NaN", "bad_value"),
            ("tz=Europe/Atlantis", "bad_value"),
            ("sort=tags", "unknown_field"),
            ("sort=metadata", "unknown_field"),
            ("sort=--name", "unknown_field"),
            ("name[]=x", "unknown_operator"),
            ("name[gte][lt]=x", "unknown_operator"),
            ("[eq]=x", "unknown_parameter"),
            ("=x", "unknown_parameter"),
            ("externalId=a%00", "unstorable_text"),
        ] {
            let body = lists.client.get(&format!("/customers?{query}")).await.expect(400);
            assert_eq!((&body["code"], &body["errors"][0]["code"]), (&json!("bad_parameter"), &json!(code)), "{query}: {body}");
        }
        let thousand = vec!["kind=person"; 1_000].join("&");
        let body = lists.client.get(&format!("/customers?{thousand}")).await.expect(400);
        assert_eq!(body["errors"][0]["code"], "too_many");
    }
}

#[tokio::test]
async fn times_without_an_offset_are_read_in_the_zone() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        let at = |text: &str, zone: &str| {
            format!("/accounts?createdAt[gte]={text}&createdAt[lt]=2026-02-02&tz={zone}&sort=accountNumber")
        };
        // Created at 01:00 to 04:00 UTC of the first of February.
        lists.check(&at("2026-02-01T03:00:00", "UTC"), "accountNumber", &["AC-0020", "ZZ-9917"]).await;
        lists.check(&at("2026-02-01T03:00:00", "Europe/Berlin"), "accountNumber", &["AC-0018", "AC-0020", "ZZ-9917"]).await;
        lists.check(&at("2026-01-31T22:00:00.000", "-05:00"), "accountNumber", &["AC-0020", "ZZ-9917"]).await;
        lists.check("/accounts?from=2026-02-01&to=2026-02-01&tz=America/New_York", "accountNumber", &[]).await;
        lists
            .check("/accounts?startDate=2026-01-31&endDate=2026-01-31&tz=America/New_York&limit=1", "accountNumber", &["AC-0020"])
            .await;
    }
}

#[tokio::test]
async fn a_tree_in_an_address_is_that_of_a_body() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let address = |text: &str| format!("/accounts?filter={}&sort=accountNumber&limit=100", encoded(text));
        let open = json!({ "field": "status", "value": "open" });
        for tree in [open.clone(), nested(1), json!({ "or": [open, { "field": "balance", "op": "gte", "value": 100 }] })] {
            let body = json!({ "filter": tree, "sort": "accountNumber", "limit": 100 });
            let searched = lists.client.post("/accounts/search", &body).await.expect(200);
            let listed = lists.client.get(&address(&tree.to_string())).await.expect(200);
            assert!(!listed["data"].as_array().unwrap().is_empty(), "{tree}");
            assert_eq!((&listed["data"], &listed["total"]), (&searched["data"], &searched["total"]), "{tree}");
        }
        for (text, pointer, code) in [
            ("", "filter", "bad_value"),
            ("[", "filter", "bad_value"),
            (&"[".repeat(4_000), "filter", "bad_value"),
            ("[]", "filter", "wrong_type"),
            (r#"{"field":"status","field":"tags","value":"open"}"#, "filter", "bad_value"),
            (r#"{"field":"tags","value":"a\u0000"}"#, "filter", "bad_value"),
            (r#"{"or":[{"field":"colour","value":1}]}"#, "filter/or/0", "unknown_parameter"),
            (&nested(4).to_string(), "filter/not/not/not", "too_deep"),
            (&many(31).to_string(), "", "too_many_conditions"),
        ] {
            let body = lists.client.get(&address(text)).await.expect(400);
            assert_eq!((&body["errors"][0]["pointer"], &body["errors"][0]["code"]), (&json!(pointer), &json!(code)), "{text}");
        }
    }
}
