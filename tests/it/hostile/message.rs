//! A valid request to any row of the route table.

use collections::collections::find;
use collections::http::Row;
use collections::search::{Collection, Field, FieldKind};
use serde_json::{Value, json};

use super::mutations::PASSWORD;
use crate::harness::client::Client;
use crate::harness::dice::Dice;

/// A request in parts.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Encoded.
    pub(crate) query: String,
    /// Names of parameters that the address knows.
    pub(crate) parameters: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

impl Message {
    /// Writes the request with the length of its body.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mark = if self.query.is_empty() { "" } else { "?" };
        let mut head = format!("{} {}{mark}{} HTTP/1.1\r\n", self.method, self.path, self.query);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let body = self.body.as_deref().unwrap_or_default();
        if self.body.is_some() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        format!("{head}\r\n{body}").into_bytes()
    }
}

/// A caller with records of its own, so that writes of several callers do not wait for each other.
pub(super) struct Caller {
    pub(super) client: Client,
    pub(super) token: String,
    customer: Value,
    account: Value,
    payment: Value,
    cursor: String,
}

impl Caller {
    /// Signs in and creates records of this name.
    pub(super) async fn sign_in(anonymous: &Client, name: &str) -> Self {
        let answer = anonymous.post("/auth/login", &json!({ "username": "admin", "password": PASSWORD })).await.expect(200);
        let token = answer["access_token"].as_str().unwrap().to_owned();
        let client = anonymous.with_token(&token);
        let mut caller =
            Self { client, token, customer: json!({}), account: json!({}), payment: json!({}), cursor: String::new() };
        caller.renew(name).await;
        caller
    }

    /// Creates new records; the old ones may be changed or deleted.
    pub(super) async fn renew(&mut self, name: &str) {
        let create = async |noun: &str, body: Value| self.client.post(&format!("/{noun}"), &body).await.expect(201);
        let customer = create("customers", body("customers", name, &Value::Null)).await;
        let account = create("accounts", body("accounts", name, &customer["id"])).await;
        let payment = create("payments", body("payments", name, &account["id"])).await;
        let list = self.client.get("/customers?limit=1&sort=createdAt").await.expect(200);
        let cursor = list["nextCursor"].as_str().unwrap_or_default().to_owned();
        (self.customer, self.account, self.payment, self.cursor) = (customer, account, payment, cursor);
    }

    /// Reads the records.
    pub(super) async fn records(&self) -> Vec<Value> {
        let records = [("customers", &self.customer), ("accounts", &self.account), ("payments", &self.payment)];
        let mut read = Vec::new();
        for (noun, record) in records {
            read.push(self.client.get(&format!("/{noun}/{}", record["id"].as_str().unwrap())).await.expect(200));
        }
        read
    }

    /// A valid request to a route. The number makes its values unique.
    pub(super) fn request(&self, row: &Row, number: u64, dice: &mut Dice) -> Message {
        let path: Vec<&str> = row.path.split('/').map(|segment| self.segment(segment)).collect();
        let noun = row.path.rsplit('/').find(|segment| !segment.starts_with('{') && *segment != "restore").unwrap_or_default();
        let mut headers = vec![("host".to_owned(), "127.0.0.1".to_owned())];
        if row.access != "public" {
            headers.push(("authorization".into(), format!("Bearer {}", self.token)));
        }
        let has_body = ["POST", "PATCH", "PUT"].contains(&row.method.as_str());
        if has_body {
            headers.push(("content-type".into(), "application/json".into()));
        }
        let parent = if noun == "payments" { &self.account["id"] } else { &self.customer["id"] };
        let body = has_body.then(|| {
            let mut body = body(noun, &format!("m{number}"), parent);
            let fixed: &[&str] = match row.method.as_str() {
                "POST" if row.path.contains("{AccountId}") => &["accountId"],
                "POST" => &[],
                _ => &["amountDue", "currency"],
            };
            fixed.iter().for_each(|name| drop(body.as_object_mut().unwrap().remove(*name)));
            body.to_string()
        });
        let collection = find(noun).filter(|_| row.method == "GET");
        let query = collection.map_or_else(Vec::new, |collection| self.query(collection, dice));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let parameters = collection.map_or_else(Vec::new, parameters);
        Message { method: row.method.clone(), path: path.join("/"), query, parameters, headers, body }
    }

    fn segment<'a>(&'a self, segment: &'a str) -> &'a str {
        let id = match segment {
            "{AccountId}" => &self.account["id"],
            "{PaymentId}" => &self.payment["id"],
            "{ContactPointId}" => &self.customer["contactPoints"][0]["id"],
            "{AddressId}" => &self.customer["addresses"][0]["id"],
            segment if segment.starts_with('{') => &self.customer["id"],
            segment => return segment,
        };
        id.as_str().unwrap()
    }

    /// Some parameters of a list, from the table of its fields.
    fn query(&self, collection: &Collection, dice: &mut Dice) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        if dice.roll(12) == 0 {
            return vec![pair("limit", "1"), pair("sort", "createdAt"), pair("cursor", &self.cursor)];
        }
        let listed: Vec<&Field> = collection.fields.iter().filter(|field| field.is_listed()).collect();
        let sortable: Vec<&str> = collection.fields.iter().filter(|field| field.sortable).map(|field| field.name).collect();
        let phrases = ["renee zwickelbaur", "2671", "renee@example.org", "W-1", "müller 4223", "+1 (415) 555-2671", "a"];
        let mut query = Vec::new();
        for _ in 0..dice.roll(4) {
            query.push(match dice.roll(6) {
                0 => pair("q", dice.pick(&phrases)),
                1 => pair("sort", &format!("{},-{}", dice.pick(&sortable), dice.pick(&sortable))),
                2 => pair(dice.pick(&["limit", "page"]), dice.pick(&["1", "2", "10"])),
                3 => {
                    let (name, value) = dice.pick(&[
                        ("count", "exact"),
                        ("includeDeleted", "true"),
                        ("from", "2020-01-01"),
                        ("to", "now+1d"),
                        ("tz", "+02:00"),
                        ("syncToken", "0/8"),
                    ]);
                    pair(name, value)
                }
                _ => {
                    let field = dice.pick(&listed);
                    let operator = dice.pick(&field.operators());
                    let value = value(field, dice);
                    let value = if operator == "between" { format!("{value},{value}") } else { value.to_owned() };
                    (format!("{}[{operator}]", field.name), value)
                }
            });
        }
        query
    }
}

/// Every filter of a list, and its other parameters.
fn parameters(collection: &Collection) -> Vec<String> {
    let listed = collection.fields.iter().filter(|field| field.is_listed());
    let filters = listed.flat_map(|field| field.operators().into_iter().map(|operator| format!("{}[{operator}]", field.name)));
    let common = "q,sort,sortBy,sortOrder,page,limit,cursor,count,from,to,tz,includeDeleted,syncToken,currency";
    // Repeated, because each is read in its own way.
    filters.chain(common.split(',').cycle().take(56).map(str::to_owned)).collect()
}

/// A value that a filter of the field takes.
fn value(field: &Field, dice: &mut Dice) -> &'static str {
    match field.kind {
        FieldKind::Keyword(words) => words.known[0],
        FieldKind::Currency => "USD",
        FieldKind::Id => "01890000-0000-7000-8000-000000000000",
        FieldKind::Money => dice.pick(&["0", "-12.50", "99999999.99"]),
        FieldKind::Integer => dice.pick(&["0", "3"]),
        FieldKind::Day | FieldKind::Moment => dice.pick(&["2026-01-31", "today-3d", "2026-01-31T10:00:00Z"]),
        FieldKind::Flag => "true",
        _ => dice.pick(&["Zwickelbauer", "W-123456", "vip"]),
    }
}

/// A valid body of a new record, by the last noun of its address.
fn body(noun: &str, name: &str, parent: &Value) -> Value {
    match noun {
        "customers" => json!({
            "externalId": name, "givenName": "Renée", "familyName": "Zwickelbauer", "tags": ["vip"], "dateOfBirth": "1980-02-29",
            "contactPoints": [{ "kind": "phone", "value": "+1 415 555 2671" }, { "kind": "email", "value": "renee@example.org" }],
            "addresses": [{ "line1": "1 Main St", "city": "Springfield", "country": "US" }],
            "metadata": { "score": 1.5, "flags": [true, null] }, "custom": { "branch": "North" }, "language": "en",
        }),
        "accounts" => json!({
            "customerId": parent, "accountNumber": name, "amountDue": "129.90", "currency": "USD", "dueDate": "2026-01-31",
            "creditor": "ACME", "status": "open", "tags": ["late"], "nextActionAt": "2026-12-01T09:00:00Z", "custom": { "n": 1 },
        }),
        "payments" => json!({
            "accountId": parent, "amount": 29.9, "method": "card", "receiver": "Front desk", "description": "first rate",
            "reference": name, "receivedAt": "2026-01-31T10:00:00Z",
        }),
        "contact-points" => {
            json!({ "kind": "email", "value": format!("{name}@example.org"), "label": "home", "isPrimary": false })
        }
        "addresses" => json!({ "line1": "2 Main St", "city": "Springfield", "country": "US", "isPrimary": true }),
        "ledger" => json!({ "kind": "fee", "amount": "1.50", "reason": "late" }),
        "saved-searches" => json!({
            "name": name, "collection": "accounts", "query": "status=open&q=renee", "sort": "-balance", "columns": ["balance"],
            "isDefault": true,
        }),
        "login" => json!({ "username": "admin", "password": PASSWORD }),
        // Refused: rebuilding the indices again and again would be most of the work.
        "reindex" => json!({ "collection": "customers", "rollback": true }),
        _ => json!({ "name": name, "amount": 1 }),
    }
}
