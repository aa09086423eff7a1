//! A notification as it is stored, and as its user reads it.

use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::kind::Kind;
use crate::values::clock::milliseconds;
use crate::values::money::{Currency, Money};
use crate::values::personal::{Disclosure, Personal};

/// A row, with what its text shows of other rows.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) kind: Kind,
    pub(super) subject: Option<Uuid>,
    pub(super) count: i64,
    pub(super) amount: Option<i64>,
    pub(super) currency: Option<Currency>,
    pub(super) state: Option<String>,
    pub(super) due_date: Option<NaiveDate>,
    pub(super) read_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    /// Of the debtor.
    pub(super) customer: Option<String>,
    pub(super) account_number: Option<String>,
    /// What was imported, what job it was, who was locked.
    pub(super) about: Option<String>,
}

/// A notification as its user reads it.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notification {
    id: Uuid,
    #[schemars(with = "String")]
    kind: Kind,
    text: String,
    /// The record that it is about; none if there are several.
    subject: Option<Uuid>,
    /// Where that can be read.
    link: Option<String>,
    /// How many records it is about.
    count: i64,
    amount: Option<Money>,
    currency: Option<Currency>,
    /// In which state an import or a job ended.
    state: Option<String>,
    due_date: Option<NaiveDate>,
    #[serde(serialize_with = "milliseconds")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "milliseconds")]
    read_at: Option<DateTime<Utc>>,
}

impl Notification {
    pub(super) fn id(&self) -> Uuid {
        self.id
    }
}

impl Row {
    /// Shows it as far as its reader may see personal data.
    pub(super) fn shown(self, disclosure: Disclosure) -> Notification {
        let link = self.subject.map(|id| format!("/api/v1/{}/{id}", self.kind.collection()));
        let amount = self.amount.zip(self.currency).map(|(minor, currency)| Money { minor, currency });
        Notification {
            text: self.text(disclosure),
            id: self.id,
            kind: self.kind,
            subject: self.subject,
            link,
            count: self.count,
            amount,
            currency: self.currency,
            state: self.state,
            due_date: self.due_date,
            created_at: self.created_at,
            read_at: self.read_at,
        }
    }

    fn text(&self, disclosure: Disclosure) -> String {
        let count = self.count;
        let name = match (&self.customer, disclosure) {
            (None, _) => "an unknown payer".to_owned(),
            (Some(name), Disclosure::Full) => name.clone(),
            (Some(name), Disclosure::Masked) => Personal::Name.mask(name),
        };
        let number = self.account_number.as_deref().unwrap_or("that is gone");
        let money = self.amount.zip(self.currency);
        let money = money.map_or(String::new(), |(minor, currency)| format!("{} {currency}", currency.format(minor)));
        let state = self.state.as_deref().unwrap_or("unknown");
        let about = self.about.as_deref().unwrap_or("that is gone");
        match self.kind {
            Kind::PaymentReceived if count > 1 => format!("{count} payments came, {money} in all"),
            Kind::PaymentReceived if self.account_number.is_some() => format!("{money} came from {name} for account {number}"),
            Kind::PaymentReceived => format!("{money} came from {name}"),
            Kind::PaymentOverdue => {
                let due = self.due_date.map_or(String::new(), |due| format!(" since {due}"));
                format!("{money} of {name} for account {number} are overdue{due}")
            }
            Kind::CustomerCreated if count > 1 => format!("{count} customers were added"),
            Kind::CustomerCreated => format!("{name} was added"),
            Kind::AccountAssigned if count > 1 => format!("{count} accounts were assigned to you"),
            Kind::AccountAssigned => format!("account {number} of {name} was assigned to you"),
            Kind::ImportEnded => format!("the import of {about} has ended: {state}"),
            Kind::ExportEnded => format!("the export has ended: {state}"),
            Kind::JobEnded => format!("the job {about} has ended: {state}"),
            Kind::UserLocked => format!("the user {about} is locked after too many wrong passwords"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: Kind, count: i64, disclosure: Disclosure) -> String {
        let row = Row {
            id: Uuid::nil(),
            kind,
            subject: None,
            count,
            amount: Some(2_990),
            currency: "EUR".parse().ok(),
            state: Some("partial".into()),
            due_date: "2026-01-31".parse().ok(),
            read_at: None,
            created_at: DateTime::default(),
            customer: Some("Jane Smith".into()),
            account_number: Some("A1".into()),
            about: Some("customers".into()),
        };
        row.shown(disclosure).text
    }

    #[test]
    fn texts_say_what_has_happened_and_names_only_to_those_who_may_see_them() {
        let full = |kind, count| text(kind, count, Disclosure::Full);
        assert_eq!(full(Kind::PaymentReceived, 1), "29.90 EUR came from Jane Smith for account A1");
        assert_eq!(full(Kind::PaymentReceived, 3), "3 payments came, 29.90 EUR in all");
        assert_eq!(full(Kind::PaymentOverdue, 1), "29.90 EUR of Jane Smith for account A1 are overdue since 2026-01-31");
        assert_eq!(full(Kind::ImportEnded, 1), "the import of customers has ended: partial");
        for kind in Kind::ALL {
            for count in [1, 2] {
                assert!(!text(kind, count, Disclosure::Masked).contains("Smith"), "{kind:?}");
            }
        }
        assert_eq!(text(Kind::CustomerCreated, 1, Disclosure::Masked), "J••• S••• was added");
    }
}
