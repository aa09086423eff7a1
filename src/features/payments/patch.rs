//! What a client may say of a payment, and its rules.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::document::Payment;
use super::status::{FIRST, STATUSES};
use super::store::Payee;
use crate::error::Faults;
use crate::validate::{Change, Words};
use crate::values::ids::{AccountId, CustomerId};
use crate::values::money::{Amount, Currency};

pub(super) const METHODS: Words = Words {
    known: &[
        "credit_card",
        "debit_card",
        "bank_transfer",
        "digital_wallet",
        "upi",
        "paypal",
        "cash",
        "check",
        "direct_debit",
        "other",
    ],
    aliases: &[("card", "credit_card"), ("wallet", "digital_wallet"), ("cheque", "check")],
};

/// What a client may say of a payment: as a new one, a replacement or a change.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Patch {
    /// The account it pays; none while it is unallocated.
    pub account_id: Change<AccountId>,
    /// Who paid.
    pub customer_id: Change<CustomerId>,
    /// More than zero.
    pub amount: Change<Amount>,
    /// ISO 4217; the account's if it has one.
    pub currency: Change<String>,
    /// How it was paid.
    pub method: Change<String>,
    /// Where the money is.
    pub status: Change<String>,
    /// Who received it.
    pub receiver: Change<String>,
    /// What it was for.
    pub description: Change<String>,
    /// The bank's or provider's reference.
    pub reference: Change<String>,
    /// Why it failed, for programs.
    pub failure_code: Change<String>,
    /// Why it failed, for people.
    pub failure_reason: Change<String>,
    /// When the money came in.
    pub received_at: Change<String>,
}

/// What the rules of a payment depend on.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The account that it pays.
    pub payee: Option<&'a Payee>,
    /// The currency of amounts that name none and pay no account.
    pub currency: Currency,
    /// Largest amount, in major units.
    pub most: u32,
    /// The moment.
    pub now: DateTime<Utc>,
}

impl Terms<'_> {
    fn default_currency(&self) -> Currency {
        self.payee.map_or(self.currency, |payee| payee.currency)
    }
}

impl Patch {
    /// Makes a new payment of what the client says.
    pub fn create(self, terms: &Terms<'_>, faults: &mut Faults) -> Payment {
        let mut payment = Payment::new(terms.now);
        terms.default_currency().as_str().clone_into(&mut payment.facts.currency);
        self.apply(&mut payment, terms, faults);
        if !FIRST.contains(&payment.facts.status.as_str()) {
            faults.add("/status", "not_a_first_status", format!("a new payment is one of {}", FIRST.join(", ")));
        }
        payment
    }

    /// Puts what the client says in its place and checks it, but for the steps between states.
    pub fn apply(self, payment: &mut Payment, terms: &Terms<'_>, faults: &mut Faults) {
        let facts = &mut payment.facts;
        facts.account_id = put(self.account_id, facts.account_id.map(AccountId)).map(|id| id.0);
        let names_customer = self.customer_id.is_present();
        facts.customer_id = put(self.customer_id, facts.customer_id.map(CustomerId)).map(|id| id.0);
        if let Some(payee) = terms.payee {
            if names_customer && facts.customer_id != Some(payee.customer_id) {
                faults.add("/customerId", "customer_mismatch", "the account belongs to another customer");
            }
            facts.customer_id = Some(payee.customer_id);
        }

        let currency = match &self.currency {
            Change::Keep => facts.currency.parse().unwrap_or(terms.default_currency()),
            Change::To(text) => faults.currency("/currency", text.as_deref(), terms.default_currency()),
        };
        if let Some(payee) = terms.payee
            && currency != payee.currency
        {
            faults.add("/currency", "currency_mismatch", format!("the account's currency is {}", payee.currency));
        }
        currency.as_str().clone_into(&mut facts.currency);
        let most = i64::from(terms.most) * 10_i64.pow(currency.exponent());
        match self.amount {
            Change::To(Some(amount)) => payment.amount = faults.amount("/amount", &amount, currency, 1..=most),
            Change::Keep if payment.amount > 0 => {}
            _ => faults.add("/amount", "required", "needs an amount"),
        }

        if facts.method.is_empty() && self.method.clone().value().is_none() {
            faults.add("/method", "required", format!("takes one of {}", METHODS.known.join(", ")));
        }
        faults.word("/method", self.method, &METHODS, &mut facts.method);
        faults.word("/status", self.status, &STATUSES, &mut facts.status);
        faults.text("/receiver", self.receiver, (2, 100), &mut facts.receiver);
        faults.text("/description", self.description, (1, 500), &mut facts.description);
        faults.text("/reference", self.reference, (1, 100), &mut facts.reference);
        faults.text("/failureCode", self.failure_code, (1, 50), &mut facts.failure_code);
        faults.text("/failureReason", self.failure_reason, (1, 500), &mut facts.failure_reason);
        let mut received_at = Some(facts.received_at);
        faults.past("/receivedAt", self.received_at, terms.now, &mut received_at);
        facts.received_at = received_at.unwrap_or(terms.now);
    }
}

fn put<T>(change: Change<T>, mut place: Option<T>) -> Option<T> {
    change.apply(&mut place);
    place
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    fn check(patch: Value, expected: &[(&str, &str)]) {
        let now = DateTime::parse_from_rfc3339("2026-01-31T12:00:00Z").unwrap().to_utc();
        let payee = Payee { currency: "EUR".parse().unwrap(), customer_id: Uuid::nil(), deleted_at: None };
        let terms = Terms { payee: Some(&payee), currency: "USD".parse().unwrap(), most: 1_000_000, now };
        let mut faults = Faults::default();
        serde_json::from_value::<Patch>(patch.clone()).unwrap().create(&terms, &mut faults);
        let faults = faults.take();
        let found: Vec<(&str, &str)> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_ref())).collect();
        assert_eq!(found, expected, "{patch}");
    }

    #[test]
    fn every_fault_is_found_at_once_and_in_its_place() {
        check(json!({ "amount": 1, "method": "Card", "status": "COMPLETED" }), &[]);
        check(json!({}), &[("/amount", "required"), ("/method", "required")]);
        check(
            json!({ "amount": 0, "method": "gold", "receiver": "x", "description": "d".repeat(501), "status": "refunded" }),
            &[
                ("/amount", "out_of_range"),
                ("/method", "unknown_value"),
                ("/receiver", "too_short"),
                ("/description", "too_long"),
                ("/status", "not_a_first_status"),
            ],
        );
    }

    #[test]
    fn the_amount_has_limits_in_the_currency_of_the_account() {
        check(json!({ "amount": "1000000.00", "method": "cash" }), &[]);
        check(json!({ "amount": "1000000.01", "method": "cash" }), &[("/amount", "out_of_range")]);
        check(json!({ "amount": "0.001", "method": "cash" }), &[("/amount", "too_many_decimals")]);
        check(json!({ "amount": 1, "method": "cash", "currency": "USD" }), &[("/currency", "currency_mismatch")]);
        check(json!({ "amount": 1, "method": "cash", "currency": "XYZ" }), &[("/currency", "unknown_currency")]);
    }

    #[test]
    fn money_does_not_come_in_tomorrow() {
        check(json!({ "amount": 1, "method": "cash", "receivedAt": "2026-01-31T12:01:00Z" }), &[]);
        check(
            json!({ "amount": 1, "method": "cash", "receivedAt": "2026-02-01T12:00:00Z" }),
            &[("/receivedAt", "in_the_future")],
        );
    }
}
