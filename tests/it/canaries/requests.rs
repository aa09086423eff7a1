//! Requests to every row of the route table that carry canaries, in the ways that succeed and the ways that fail.

use collections::http::Row;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use super::values::Canaries;
use crate::imports::files::{FORM, form};

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<String>,
}

impl Sent {
    /// All that its client knows already, as text.
    pub(super) fn text(&self) -> String {
        let path = percent_decode_str(&self.path.replace('+', " ")).decode_utf8_lossy().into_owned();
        format!("{path} {:?} {}", self.headers, self.body.as_deref().unwrap_or_default())
    }
}

/// Records that stand in addresses.
pub(super) struct Records {
    pub(super) customer: String,
    pub(super) account: String,
    pub(super) payment: String,
    pub(super) activity: String,
}

/// The requests to a row.
pub(super) fn of_row(row: &Row, canaries: &Canaries, records: &Records) -> Vec<Sent> {
    let method = Method::from_bytes(row.method.as_bytes()).unwrap();
    let noun =
        row.path.rsplit('/').find(|part| !part.starts_with('{') && !["restore", "search"].contains(part)).unwrap_or_default();
    let body = (method != Method::GET && method != Method::DELETE).then(|| body(noun, canaries, records));
    let real = path(row, |segment| match segment {
        "{CustomerId}" => records.customer.clone(),
        "{AccountId}" => records.account.clone(),
        "{PaymentId}" => records.payment.clone(),
        "{ActivityId}" => records.activity.clone(),
        _ => collections::values::ids::new().to_string(),
    });
    let sent = |path: &str| Sent {
        method: method.clone(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: body.as_ref().map(ToString::to_string),
    };
    let mut all = vec![
        sent(&real),
        sent(&path(row, |_| encoded(canaries.of("segment")))),
        sent(&path(row, |_| encoded(canaries.of("phone")))),
    ];
    all.push(sent(&path(row, |_| collections::values::ids::new().to_string())));
    // What is read alike at every address is not tried again at the older ones.
    if row.path.starts_with("/api/v1/") {
        all.extend(queries(canaries).into_iter().map(|query| sent(&format!("{real}?{query}"))));
        all.extend(headers(canaries).into_iter().map(|header| Sent { headers: vec![header], ..sent(&real) }));
    }
    if method == Method::POST && ["imports", "bulk-upload"].contains(&noun) {
        all.push(Sent { headers: vec![("content-type", FORM.to_owned())], body: Some(upload(canaries)), ..sent(&real) });
    }
    let Some(body) = &body else { return all };
    let mut with_stranger = body.clone();
    with_stranger[canaries.of("member")] = canaries.of("otherName").into();
    let mut wrapped = body.clone();
    wrapped.as_object_mut().unwrap().values_mut().for_each(|value| *value = json!([{ (canaries.of("member")): value.take() }]));
    let text = body.to_string();
    for text in [with_stranger.to_string(), wrapped.to_string(), text[..text.len() - 1].to_owned(), json!(text).to_string()] {
        all.push(Sent { body: Some(text), ..sent(&real) });
    }
    all
}

fn path(row: &Row, id: impl Fn(&str) -> String) -> String {
    let segment = |segment: &str| if segment.starts_with('{') { id(segment) } else { segment.to_owned() };
    row.path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn queries(canaries: &Canaries) -> Vec<String> {
    let pair = |name: &str, value: &str| format!("{}={}", encoded(name), encoded(value));
    let of = |name| canaries.of(name);
    vec![
        pair("q", of("phrase")),
        pair("q", &format!("{} {}", of("familyName"), of("phoneSearched"))),
        pair("q", &format!("\"{}\" email:{}", of("searchName"), of("emailSearched"))),
        format!("{}&{}", pair("name[match]", of("searchName")), pair("externalId", of("externalId"))),
        format!("{}&{}", pair("phone", of("phoneSearched")), pair("email", of("emailSearched"))),
        pair(of("parameter"), of("phrase")),
        pair("sort", of("parameter")),
        pair("cursor", of("token")),
        pair("dateOfBirth", of("birthday")),
        pair("dateOfBirth", of("name")),
        pair("include", of("parameter")),
    ]
}

fn headers(canaries: &Canaries) -> Vec<(&'static str, String)> {
    let header = canaries.of("header");
    vec![
        ("if-match", format!("\"{header}\"")),
        ("if-match", header.to_owned()),
        ("idempotency-key", header.to_owned()),
        ("x-sync-token", canaries.of("token").to_owned()),
        ("authorization", format!("Bearer {}", canaries.of("token"))),
        ("authorization", format!("Basic {}", canaries.of("wrongPassword"))),
        ("user-agent", format!("{header} {}", canaries.of("email"))),
        ("cookie", format!("session={}", canaries.of("token"))),
        ("content-type", format!("text/{header}")),
        ("accept", format!("text/{header}")),
        ("prefer", header.to_owned()),
        ("origin", format!("https://{header}.org")),
        ("forwarded", format!("for={header}")),
        // An id is a word that the client chose for the log; this is none.
        ("x-request-id", format!("{header} {header}")),
        ("traceparent", format!("00-{header}")),
    ]
}

/// A form with a file of customers, the second of whom has no day of birth that can be read.
fn upload(canaries: &Canaries) -> String {
    let of = |name| canaries.of(name);
    let row = |birthday| format!("{},{},{},{birthday}\n", of("uploadedName"), of("phoneUploaded"), of("emailUploaded"));
    let file = format!("name,phone,email,dateOfBirth\n{}{}", row(of("birthday")), row(of("unreadable")));
    String::from_utf8(form(&[("target", "customers")], &[(&format!("{}.csv", of("fileName")), file.as_bytes())])).unwrap()
}

/// A body for a noun; those of nouns that are not named here have members of all kinds.
pub(super) fn body(noun: &str, canaries: &Canaries, records: &Records) -> Value {
    let of = |name| canaries.of(name);
    let contact = json!({ "kind": "phone", "value": of("phoneSpaced"), "label": of("contactLabel") });
    let address = json!({
        "label": of("addressLabel"), "line1": of("line1"), "line2": of("line2"), "city": of("city"), "region": of("region"),
        "postalCode": of("postalCode"), "country": "DE",
    });
    match noun {
        "customers" => json!({
            "externalId": of("externalId"), "givenName": of("givenName"), "familyName": of("familyName"), "taxId": of("taxId"),
            "companyName": of("companyName"), "dateOfBirth": of("birthday"), "tags": [of("tag"), of("secondTag")],
            "contactPoints": [
                { "kind": "phone", "value": of("phone") }, { "kind": "phone", "value": of("phoneNational") },
                { "kind": "email", "value": of("email") }, contact,
            ],
            "addresses": [address], "metadata": { (of("metadataKey")): of("metadataValue") },
            "custom": { (of("customKey")): of("customValue") },
        }),
        "accounts" => json!({
            "customerId": records.customer, "accountNumber": of("accountNumber"), "amountDue": "129.90", "currency": "USD",
            "creditor": of("creditor"), "portfolio": of("portfolio"), "product": of("product"), "tags": [of("tag")],
            "custom": { (of("customKey")): of("customValue") },
        }),
        "payments" => json!({
            "amount": 29.9, "method": "card", "receiver": of("receiver"), "description": of("description"),
            "reference": of("reference"), "failureCode": of("failureCode"), "failureReason": of("failureReason"), "status": "failed",
        }),
        "activities" => json!({
            "accountId": records.account, "type": "call", "note": of("note"), "disposition": "promise",
            "metadata": { (of("metadataKey")): of("metadataValue") },
        }),
        "contact-points" => contact,
        "addresses" => address,
        "ledger" => json!({ "kind": "fee", "amount": "1.50", "reason": of("reason") }),
        "saved-searches" => json!({
            "name": of("searchName"), "collection": "customers", "query": format!("q={}", of("phrase")), "columns": ["name"],
        }),
        "users" => json!({
            "username": of("wrongUsername"), "email": of("emailOfUser"), "name": of("otherName"), "password": of("password"),
            "role": "viewer",
        }),
        "login" => json!({ "username": of("wrongUsername"), "password": of("wrongPassword") }),
        // Refused, or the indices would be rebuilt again and again.
        "reindex" => json!({ "collection": of("member") }),
        _ => json!({
            "name": of("otherName"), "username": of("wrongUsername"), "email": of("emailOfUser"), "phone": of("phone"),
            "password": of("password"), "currentPassword": of("wrongPassword"), "newPassword": of("password"),
            "refreshToken": of("token"), "token": of("token"), "role": "viewer", "scopes": [of("member")], "reason": of("reason"),
        }),
    }
}
