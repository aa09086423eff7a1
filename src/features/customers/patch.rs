//! What a client may say of a customer, and its rules.

use chrono::NaiveDate;
use serde::Deserialize;

use super::contacts::{self, AddressPatch, ContactPatch};
use super::document::Facts;
use crate::error::{Faults, Object};
use crate::validate::{Change, MOST_MONEY, Words, sensible_days};
use crate::values::ids::CustomerId;
use crate::values::money::{Amount, Currency};

pub(super) const KINDS: Words = Words { known: &["person", "company"], aliases: &[] };
pub(super) const STATUSES: Words =
    Words { known: &["active", "inactive", "deceased", "insolvent", "blocked"], aliases: &[("bankrupt", "insolvent")] };

/// What a client may say of a customer: as a new one, a replacement or a change.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Patch {
    /// The creditor's name for this customer.
    pub external_id: Change<String>,
    /// `person` or `company`.
    pub kind: Change<String>,
    /// Display name; derived from the parts when absent.
    pub name: Change<String>,
    /// Given name.
    pub given_name: Change<String>,
    /// Family name.
    pub family_name: Change<String>,
    /// Registered name.
    pub company_name: Change<String>,
    /// Day of birth.
    pub date_of_birth: Change<String>,
    /// Tax number.
    pub tax_id: Change<String>,
    /// Language tag (BCP 47).
    pub language: Change<String>,
    /// Time zone (IANA).
    pub time_zone: Change<String>,
    /// What the customer is to the business.
    pub status: Change<String>,
    /// Free words.
    pub tags: Change<Vec<String>>,
    /// Free values of integrators.
    pub metadata: Change<Object>,
    /// Values of the custom fields.
    pub custom: Change<Object>,
    /// The primary phone number: the simple form.
    pub phone: Change<String>,
    /// The primary e-mail address: the simple form.
    pub email: Change<String>,
    /// The whole set of phones and e-mail addresses.
    pub contact_points: Change<Vec<ContactPatch>>,
    /// The whole set of postal addresses.
    pub addresses: Change<Vec<AddressPatch>>,
    /// With a new customer only: what is owed, which opens an account.
    pub amount_due: Change<Amount>,
    /// With a new customer only: when that has to be paid.
    pub due_date: Change<String>,
    /// With a new customer only: the currency of what is owed.
    pub currency: Change<String>,
    /// With a new customer only: the number of the account.
    pub account_number: Change<String>,
}

/// What a new customer owes: the account that is opened along with it.
#[derive(Clone, Debug)]
pub struct Debt {
    /// The number that people quote; made up when absent.
    pub account_number: Option<String>,
    /// The account's currency.
    pub currency: Currency,
    /// Minor units.
    pub amount: i64,
    /// When it has to be paid.
    pub due_date: Option<NaiveDate>,
}

impl Patch {
    /// Takes out what describes the account of a new customer.
    pub fn take_debt(&mut self, default: Currency, faults: &mut Faults) -> Option<Debt> {
        let amount = std::mem::take(&mut self.amount_due).value();
        let due_date = std::mem::take(&mut self.due_date);
        let currency = std::mem::take(&mut self.currency).value();
        let number = std::mem::take(&mut self.account_number);
        if amount.is_none() && !due_date.is_present() && !number.is_present() {
            return None;
        }
        let currency = faults.currency("/currency", currency.as_deref(), default);
        let amount = amount.map_or(0, |amount| faults.amount("/amountDue", &amount, currency, 0..=MOST_MONEY));
        let mut debt = Debt { account_number: None, currency, amount, due_date: None };
        faults.day("/dueDate", due_date, sensible_days(), &mut debt.due_date);
        faults.text("/accountNumber", number, (1, 64), &mut debt.account_number);
        Some(debt)
    }

    /// Makes a new customer of what the client says.
    pub fn create(self, today: NaiveDate, region: &str, faults: &mut Faults) -> Facts {
        let mut facts = Facts::new();
        self.apply(&mut facts, today, region, faults);
        facts
    }

    /// The same as a whole: sets that it does not name are empty.
    #[must_use]
    pub fn whole(mut self) -> Self {
        if !self.contact_points.is_present() {
            self.contact_points = Change::To(None);
        }
        if !self.addresses.is_present() {
            self.addresses = Change::To(None);
        }
        self
    }

    /// Puts what the client says in its place and checks it; `region` is where phone numbers without a country code belong.
    pub fn apply(self, facts: &mut Facts, today: NaiveDate, region: &str, faults: &mut Faults) {
        let name_is_derived = derive_name(facts).is_some_and(|derived| derived == facts.name);
        faults.text("/externalId", self.external_id, (1, 100), &mut facts.external_id);
        faults.word("/kind", self.kind, &KINDS, &mut facts.kind);
        faults.text("/givenName", self.given_name, (1, 100), &mut facts.given_name);
        faults.text("/familyName", self.family_name, (1, 100), &mut facts.family_name);
        faults.text("/companyName", self.company_name, (1, 200), &mut facts.company_name);
        let born = sensible_days().start().to_owned()..=today;
        faults.day("/dateOfBirth", self.date_of_birth, born, &mut facts.date_of_birth);
        faults.text("/taxId", self.tax_id, (1, 50), &mut facts.tax_id);
        if let Change::To(Some(tag)) = &self.language
            && !is_language(tag.trim())
        {
            faults.add("/language", "not_a_language", "takes a language tag such as en or pt-BR");
        }
        faults.text("/language", self.language, (2, 35), &mut facts.language);
        if let Change::To(Some(zone)) = &self.time_zone
            && !is_time_zone(zone.trim())
        {
            faults.add("/timeZone", "not_a_time_zone", "takes a time zone such as Europe/Berlin");
        }
        faults.text("/timeZone", self.time_zone, (1, 64), &mut facts.time_zone);
        faults.word("/status", self.status, &STATUSES, &mut facts.status);
        faults.tags("/tags", self.tags, &mut facts.tags);
        faults.object("/metadata", self.metadata, &mut facts.metadata);
        faults.object("/custom", self.custom, &mut facts.custom);
        contacts::apply(self.contact_points, self.phone, self.email, region, &mut facts.contact_points, faults);
        contacts::apply_addresses(self.addresses, &mut facts.addresses, faults);
        apply_name(self.name, name_is_derived, facts, faults);

        let only_new = [
            ("/amountDue", self.amount_due.is_present()),
            ("/dueDate", self.due_date.is_present()),
            ("/currency", self.currency.is_present()),
            ("/accountNumber", self.account_number.is_present()),
        ];
        for (pointer, _) in only_new.into_iter().filter(|(_, present)| *present) {
            faults.add(pointer, "not_changeable", "belongs to an account; only a new customer takes it, to open one");
        }
    }
}

impl Facts {
    /// A new customer, of whom nothing is known yet.
    pub fn new() -> Self {
        Self { id: CustomerId::new().0, kind: "person".into(), status: "active".into(), ..Self::default() }
    }

    /// Forgets what a client may say. The sets stay, because what replaces them may name their entries.
    pub(super) fn clear(&mut self) {
        *self = Self {
            id: self.id,
            version: self.version,
            contact_points: std::mem::take(&mut self.contact_points),
            addresses: std::mem::take(&mut self.addresses),
            ..Self::new()
        };
    }
}

/// A name that was derived follows its parts; one that was given stays.
fn apply_name(change: Change<String>, was_derived: bool, facts: &mut Facts, faults: &mut Faults) {
    let mut name = match change {
        Change::Keep if was_derived || facts.name.is_empty() => None,
        Change::Keep => return,
        change => {
            let mut name = None;
            faults.text("/name", change, (1, 200), &mut name);
            name
        }
    };
    if name.is_none() {
        name = derive_name(facts);
    }
    match name {
        Some(name) => facts.name = name,
        None => faults.add("/name", "required", "needs a name, or the parts of one"),
    }
}

/// The display name that the parts make.
fn derive_name(facts: &Facts) -> Option<String> {
    let person = [&facts.given_name, &facts.family_name].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    let company = facts.company_name.clone().unwrap_or_default();
    let mut names = if facts.kind == "company" { [company, person] } else { [person, company] }.into_iter();
    names.find(|name| !name.is_empty()).map(|name| name.chars().take(200).collect())
}

/// The form of a language tag: two or three small letters, then subtags of two to eight letters and digits.
fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=3).contains(&first.len())
        && first.bytes().all(|letter| letter.is_ascii_lowercase())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|letter| letter.is_ascii_alphanumeric()))
}

/// The form of a time zone's name: words of letters, digits and a few signs between slashes.
fn is_time_zone(zone: &str) -> bool {
    zone.split('/').all(|part| {
        part.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && part.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_+-".contains(&letter))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn apply(facts: &mut Facts, patch: Value) -> Vec<(String, String)> {
        let mut faults = Faults::default();
        let patch: Patch = serde_json::from_value(patch).unwrap();
        patch.apply(facts, NaiveDate::from_ymd_opt(2026, 1, 1).unwrap(), "US", &mut faults);
        faults.take().into_iter().map(|fault| (fault.pointer, fault.code.into_owned())).collect()
    }

    fn check(patch: Value, expected: &[(&str, &str)]) {
        let found = apply(&mut Facts::new(), patch.clone());
        let found: Vec<(&str, &str)> = found.iter().map(|(pointer, code)| (pointer.as_str(), code.as_str())).collect();
        assert_eq!(found, expected, "{patch}");
    }

    #[test]
    fn every_fault_is_found_at_once_and_in_its_place() {
        check(json!({ "name": "Ann" }), &[]);
        check(json!({}), &[("/name", "required")]);
        check(json!({ "name": "x".repeat(201) }), &[("/name", "too_long")]);
        check(
            json!({ "name": "Ann", "language": "english", "timeZone": "not a zone" }),
            &[("/language", "not_a_language"), ("/timeZone", "not_a_time_zone")],
        );
        check(json!({ "name": "Ann", "dateOfBirth": "2026-01-02" }), &[("/dateOfBirth", "out_of_range")]);
        check(
            json!({ "kind": "robot", "externalId": "", "tags": [" "], "phone": "?" }),
            &[
                ("/externalId", "too_short"),
                ("/kind", "unknown_value"),
                ("/tags/0", "too_short"),
                ("/phone", "too_short"),
                ("/name", "required"),
            ],
        );
    }

    #[test]
    fn a_derived_name_follows_its_parts_and_a_given_one_stays() {
        let mut facts = Facts::new();
        apply(&mut facts, json!({ "givenName": "Ann", "familyName": "Lee" }));
        assert_eq!(facts.name, "Ann Lee");
        apply(&mut facts, json!({ "familyName": "Moss" }));
        assert_eq!(facts.name, "Ann Moss");
        apply(&mut facts, json!({ "name": "Dr Moss" }));
        apply(&mut facts, json!({ "givenName": null }));
        assert_eq!(facts.name, "Dr Moss");
        apply(&mut facts, json!({ "name": null }));
        assert_eq!(facts.name, "Moss");
    }

    #[test]
    fn language_tags_and_time_zones_have_a_form() {
        assert!(["en", "pt-BR", "zh-Hant-TW"].into_iter().all(is_language));
        assert!(!["e", "EN", "en-", "en_US", "en-toolongtag"].into_iter().any(is_language));
        assert!(["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"].into_iter().all(is_time_zone));
        assert!(!["", "Europe/", "Europe Berlin", "../etc"].into_iter().any(is_time_zone));
    }
}
