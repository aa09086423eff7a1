//! What is exported and imported again is as it was, whatever the texts.

use collections::auth::Role;
use collections::imports::Target;
use collections::imports::run::Task;
use collections::imports::store;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::dice::Dice;
use crate::imports::harness::{self, store_file, upsert};

/// What spreadsheets calculate, what separates cells, lines and words, and what looks like another type.
const PIECES: [&str; 20] = [
    "=",
    "+",
    "-",
    "@",
    "'",
    "\"",
    ",",
    ";",
    "; ",
    "|",
    "\n",
    "0",
    "007",
    "1234567890123456",
    "שלום",
    "é",
    "_x0041_",
    "TRUE",
    "<b>",
    "&",
];

/// Records of each collection.
const RECORDS: usize = 12;

struct Texts(Dice);

impl Texts {
    /// Begins with anything, and can be seen.
    fn one(&mut self) -> String {
        let pieces = 1 + self.0.roll(4);
        (0..pieces).map(|_| self.0.pick(&PIECES)).chain(["z"]).collect::<String>().trim().to_owned()
    }

    fn number(&mut self, at: usize) -> String {
        let prefix = self.0.pick(&["00", "1234567890123456", "0x", "-", "+", "=", "1E"]);
        format!("{prefix}{at}")
    }

    fn tags(&mut self) -> Vec<String> {
        (0..self.0.roll(4)).map(|_| self.one()).collect()
    }
}

/// Creates a customer with an account, a payment and an activity.
async fn create(client: &Client, texts: &mut Texts, at: usize) {
    let (number, account) = (texts.number(at), texts.number(at));
    let customer = json!({
        "externalId": number, "name": texts.one(), "givenName": texts.one(), "companyName": texts.one(), "tags": texts.tags(),
        "taxId": texts.number(at), "phone": format!("+1 415 555 26{at:02}"), "email": format!("ann{at}@example.com"),
        "dateOfBirth": "1980-02-29",
    });
    let customer = client.post("/customers", &customer).await.expect(201);
    let account = json!({
        "customerId": customer["id"], "accountNumber": account, "balance": "1234.50", "currency": "EUR", "creditor": texts.one(),
        "portfolio": texts.one(), "tags": texts.tags(), "dueDate": "2026-01-31",
    });
    let account = client.post("/accounts", &account).await.expect(201);
    let below = format!("/accounts/{}", account["id"].as_str().unwrap());
    let payment = json!({
        "amount": "12.30", "method": "cash", "status": "success", "reference": texts.number(at),
        "receiver": format!("{} Ltd", texts.one()), "description": texts.one(),
    });
    client.post(&format!("{below}/payments"), &payment).await.expect(201);
    let activity = json!({ "type": texts.one(), "note": texts.one(), "disposition": texts.one() });
    client.post(&format!("{below}/activities"), &activity).await.expect(201);
}

async fn listed(client: &Client, collection: &str) -> Value {
    client.get(&format!("/{collection}?limit=100&sort=createdAt")).await.expect(200)["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_imported_again_changes_nothing() {
    let test = TestApp::start_api(&["--rate-limit-bulk", "0"]).await;
    let manager = test.client(Role::Manager).await;
    let app = harness::open(&test.database);
    let seed = Dice::seed("ROUND_TRIP_SEED");
    let mut texts = Texts(Dice::new(seed));
    for at in 0..RECORDS {
        create(&manager, &mut texts, at).await;
    }
    for target in [Target::Customers, Target::Accounts, Target::Payments, Target::Activities] {
        let before = listed(&manager, target.name()).await;
        for format in ["csv", "xlsx"] {
            let (status, file) = manager.get_bytes(&format!("/{}/export?columns=*&format={format}", target.name())).await;
            assert_eq!(status, 200);
            let import = store_file(&app, upsert(target), file).await.unwrap();
            let job = harness::start(&app, import.id, Task::Commit).await.unwrap();
            collections::jobs::work(&app, collections::worker::kinds(), job).await.unwrap();
            let done = store::find(&app.db.server, import.id).await.unwrap().unwrap();
            let (issues, _) = store::rows::issues(&app.db.server, import.id, 0, 1_000).await.unwrap();
            let name = format!("{target:?} as {format}, seed {seed}: {:?} {issues:#?}", done.problem);
            assert_eq!((done.committed.rows, done.committed.unchanged), (RECORDS as u64, RECORDS as u64), "{name}");
            assert_eq!(listed(&manager, target.name()).await, before, "{name}");
        }
    }
}
