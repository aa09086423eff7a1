//! What a client may say of an account, and its rules.

use serde::Deserialize;

use super::document::{Account, Facts};
use crate::error::{Faults, Object};
use crate::features::customers;
use crate::validate::{Change, MOST_MONEY, Words, sensible_days};
use crate::values::ids::{CustomerId, UserId};
use crate::values::money::{Amount, Currency};

pub(super) const STATUSES: Words =
    Words { known: &["open", "paused", "settled", "closed", "written_off"], aliases: &[("active", "open")] };

/// What a client may say of an account: as a new one, a replacement or a change.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Patch {
    /// The number that people quote; made up when absent.
    pub account_number: Change<String>,
    /// Who owes.
    pub customer_id: Change<CustomerId>,
    /// With a new account only: a new customer who owes.
    pub customer: Change<customers::Patch>,
    /// ISO 4217; fixed once the account is there.
    pub currency: Change<String>,
    /// What was owed at the start; fixed once the account is there.
    pub original_amount: Change<Amount>,
    /// What is owed when the account is opened; from then on the ledger alone moves it.
    pub balance: Change<Amount>,
    /// Another name of `balance`.
    pub amount_due: Change<Amount>,
    /// When it has to be paid.
    pub due_date: Change<String>,
    /// Where the debt stands.
    pub status: Change<String>,
    /// Who works on it.
    pub assignee_id: Change<UserId>,
    /// To whom it is owed.
    pub creditor: Change<String>,
    /// Portfolio it was bought or placed in.
    pub portfolio: Change<String>,
    /// What was sold.
    pub product: Change<String>,
    /// Latest contact.
    pub last_contact_at: Change<String>,
    /// When somebody has to act.
    pub next_action_at: Change<String>,
    /// Free words.
    pub tags: Change<Vec<String>>,
    /// Values of the custom fields.
    pub custom: Change<Object>,
}

impl Patch {
    /// Reads a new account, and the new customer who owes it, if it comes with one.
    pub fn open(mut self, default: Currency, faults: &mut Faults) -> (Account, Option<customers::Patch>) {
        let mut account = Account::blank();
        let owner = std::mem::take(&mut self.customer).value();
        match (self.customer_id.is_present(), &owner) {
            (true, Some(_)) => faults.add("/customer", "conflicting", "takes customerId or a new customer, not both"),
            (false, None) => faults.add("/customerId", "required", "needs customerId, or a new customer in customer"),
            _ => {}
        }
        let currency = faults.currency("/currency", std::mem::take(&mut self.currency).value().as_deref(), default);
        currency.as_str().clone_into(&mut account.facts.currency);
        let original = std::mem::take(&mut self.original_amount).value();
        let original = original.map(|amount| faults.amount("/originalAmount", &amount, currency, 0..=MOST_MONEY));
        let owed = match (std::mem::take(&mut self.balance).value(), std::mem::take(&mut self.amount_due).value()) {
            (Some(_), Some(_)) => {
                faults.add("/amountDue", "conflicting", "is another name of balance; takes one of them");
                None
            }
            (Some(amount), None) => Some(faults.amount("/balance", &amount, currency, -MOST_MONEY..=MOST_MONEY)),
            (None, amount) => amount.map(|amount| faults.amount("/amountDue", &amount, currency, 0..=MOST_MONEY)),
        };
        account.amounts.balance = owed.or(original).unwrap_or_default();
        account.amounts.original_amount = original.or(owed).unwrap_or_default().max(0);
        self.apply(&mut account, faults);
        (account, owner)
    }

    /// Puts what the client says in its place and checks it. What is fixed may be repeated, so that what was read can be sent back.
    pub fn apply(self, account: &mut Account, faults: &mut Faults) {
        let Account { facts, amounts, .. } = account;
        let currency = facts.currency.parse::<Currency>().ok();
        if let Change::To(said) = self.currency
            && said.and_then(|said| said.trim().parse::<Currency>().ok()) != currency
        {
            faults.add("/currency", "not_changeable", "an account keeps its currency");
        }
        let fixed = [
            ("/originalAmount", self.original_amount, amounts.original_amount),
            ("/balance", self.balance, amounts.balance),
            ("/amountDue", self.amount_due, amounts.balance),
        ];
        for (pointer, change, fixed) in fixed {
            if let Change::To(said) = change
                && said.zip(currency).is_none_or(|(said, currency)| said.minor(currency) != Ok(fixed))
            {
                faults.add(pointer, "not_changeable", "changes only by an entry in the account's ledger");
            }
        }
        if self.customer.is_present() {
            faults.add("/customer", "not_changeable", "only a new account takes a new customer; name another in customerId");
        }
        apply_required(self.account_number, self.customer_id, facts, faults);
        faults.day("/dueDate", self.due_date, sensible_days(), &mut facts.due_date);
        faults.word("/status", self.status, &STATUSES, &mut facts.status);
        let mut assignee = facts.assignee_id.map(UserId);
        self.assignee_id.apply(&mut assignee);
        facts.assignee_id = assignee.map(|user| user.0);
        faults.text("/creditor", self.creditor, (1, 200), &mut facts.creditor);
        faults.text("/portfolio", self.portfolio, (1, 100), &mut facts.portfolio);
        faults.text("/product", self.product, (1, 100), &mut facts.product);
        faults.moment("/lastContactAt", self.last_contact_at, &mut facts.last_contact_at);
        faults.moment("/nextActionAt", self.next_action_at, &mut facts.next_action_at);
        faults.tags("/tags", self.tags, &mut facts.tags);
        faults.object("/custom", self.custom, &mut facts.custom);
    }
}

/// The number and the owner of an account can change but never go.
fn apply_required(number: Change<String>, customer: Change<CustomerId>, facts: &mut Facts, faults: &mut Faults) {
    if number.is_present() {
        let mut said = None;
        faults.text("/accountNumber", number, (1, 64), &mut said);
        match said {
            Some(said) => facts.account_number = said,
            None => faults.add("/accountNumber", "required", "an account keeps a number"),
        }
    }
    match customer {
        Change::Keep => {}
        Change::To(Some(customer)) => facts.customer_id = customer.0,
        Change::To(None) => faults.add("/customerId", "required", "an account keeps a customer"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(patch: Value, expected: &[(&str, &str)]) -> Account {
        let mut faults = Faults::default();
        let (account, _) = serde_json::from_value::<Patch>(patch.clone()).unwrap().open("EUR".parse().unwrap(), &mut faults);
        let faults = faults.take();
        let found: Vec<(&str, &str)> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_ref())).collect();
        assert_eq!(found, expected, "{patch}");
        account
    }

    #[test]
    fn what_is_owed_at_the_start_can_be_said_in_three_ways() {
        let amounts = |mut patch: Value| {
            patch["customerId"] = json!(CustomerId::new());
            let Account { amounts, .. } = check(patch, &[]);
            (amounts.balance, amounts.original_amount)
        };
        assert_eq!(amounts(json!({})), (0, 0));
        assert_eq!(amounts(json!({ "amountDue": "12.50" })), (1250, 1250));
        assert_eq!(amounts(json!({ "originalAmount": 100, "balance": 40 })), (4000, 10_000));
        assert_eq!(amounts(json!({ "balance": "-3", "currency": "jpy" })), (-3, 0));
    }

    #[test]
    fn every_fault_is_found_at_once_and_in_its_place() {
        check(
            json!({ "balance": 1, "amountDue": 1, "currency": "XXX", "accountNumber": "", "dueDate": "soon" }),
            &[
                ("/customerId", "required"),
                ("/currency", "unknown_currency"),
                ("/amountDue", "conflicting"),
                ("/accountNumber", "too_short"),
                ("/dueDate", "not_a_day"),
            ],
        );
        let id = CustomerId::new();
        check(json!({ "customerId": id, "originalAmount": "1.234" }), &[("/originalAmount", "too_many_decimals")]);
        check(json!({ "customerId": id, "originalAmount": "-1" }), &[("/originalAmount", "out_of_range")]);
    }

    #[test]
    fn what_is_fixed_may_be_repeated_and_not_changed() {
        let mut account = check(json!({ "customerId": CustomerId::new(), "balance": "40.00" }), &[]);
        let mut faults = Faults::default();
        let repeated = json!({ "balance": 40, "originalAmount": "40", "currency": "eur" });
        serde_json::from_value::<Patch>(repeated).unwrap().apply(&mut account, &mut faults);
        assert!(faults.take().is_empty());
        let changed = json!({ "balance": 41, "originalAmount": null, "currency": "USD", "customerId": null });
        serde_json::from_value::<Patch>(changed).unwrap().apply(&mut account, &mut faults);
        assert_eq!(faults.take().len(), 4);
    }
}
