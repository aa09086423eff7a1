//! What requests say of customers besides the writable fields of the table.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde_json::json;

use super::contacts::{AddressPatch, ContactPatch};
use crate::values::money::{Amount, Currency};

/// A new customer; with an amount, a day or a number also a new account.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", extend("anyOf" = needs_name()), extend("examples" = [example()]))]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
pub struct NewCustomer {
    #[schemars(flatten)]
    contacts: Contacts,
    /// What is owed: the balance of a new account.
    amount_due: Option<Amount>,
    /// The currency of that account.
    currency: Option<Currency>,
    /// The day on which it has to be paid.
    due_date: Option<NaiveDate>,
    /// The number of that account; made up if absent.
    #[schemars(length(min = 1, max = 64))]
    account_number: Option<String>,
}

/// A new customer that comes with a new account.
#[derive(JsonSchema)]
#[schemars(extend("anyOf" = needs_name()))]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
pub struct CustomerOfAccount {
    #[schemars(flatten)]
    contacts: Contacts,
}

/// How to reach a customer.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
pub struct Contacts {
    /// The primary phone number; null removes it.
    #[schemars(length(min = 3, max = 254))]
    phone: Option<String>,
    /// The primary e-mail address; null removes it.
    #[schemars(length(min = 3, max = 254))]
    email: Option<String>,
    /// All of them; an entry with an `id` keeps what it does not name.
    #[schemars(length(max = 20))]
    contact_points: Option<Vec<ContactPatch>>,
    /// All of them; an entry with an `id` keeps what it does not name.
    #[schemars(length(max = 20))]
    addresses: Option<Vec<AddressPatch>>,
}

/// A name, or what makes one.
fn needs_name() -> serde_json::Value {
    ["name", "givenName", "familyName", "companyName"].map(|name| json!({ "required": [name] })).to_vec().into()
}

fn example() -> serde_json::Value {
    json!({
        "givenName": "Renée", "familyName": "Zwickelbauer", "phone": "+1 415 555 2671",
        "amountDue": "129.90", "currency": "USD", "dueDate": "2026-01-31",
    })
}
