//! The fields that a file can hold, and their headings.

use std::sync::LazyLock;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Fields, Member};
use crate::error::Violations;
use crate::features::accounts::Account;
use crate::features::activities::Activity;
use crate::features::customers::Customer;
use crate::features::payments::Payment;
use crate::features::{accounts, activities, customers, payments};
use crate::search::{self, Access, Cell, Collection, FieldKind};
use crate::values::json::Value;

/// What rows become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, JsonSchema, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ImportTarget")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Target {
    /// People and companies that owe.
    Customers,
    /// Debts.
    Accounts,
    /// Money that came in.
    Payments,
    /// What was done about accounts.
    Activities,
}

/// A field that a column can hold.
#[derive(Debug)]
pub(super) struct Field {
    /// As in the API.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether an update can leave a record without it.
    pub(super) is_clearable: bool,
    /// Other headings, in the form of [`plain`](super::headings::plain).
    pub(super) synonyms: &'static [&'static str],
}

/// How a cell is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A number that is a name: if a spreadsheet has rounded it, that is an error.
    Identifier,
    /// A number whose first zero or plus a spreadsheet may have taken away.
    Phone,
    /// A calendar day.
    Day,
    /// A day that is left out with a warning if it does not exist; the row is still imported.
    ForgivenDay,
    /// A day, or a moment.
    Moment,
    Amount,
    /// Words between commas, semicolons or bars.
    Words,
}

impl Target {
    /// The field that identifies a row, so that a second import creates nothing.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Customers => "externalId",
            Self::Accounts => "accountNumber",
            Self::Payments => "reference",
            Self::Activities => "occurredAt",
        }
    }

    /// The fields that can find the record of a row.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Customers => &["externalId", "email", "phone"],
            Self::Accounts => &["accountNumber"],
            Self::Payments => &["reference"],
            Self::Activities => &["occurredAt"],
        }
    }

    /// A file needs one field of each set.
    pub(super) fn required(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Customers => &[&["externalId"], &["name", "familyName", "givenName", "companyName"]],
            Self::Accounts => &[&["accountNumber"], &["customerExternalId", "customerName"]],
            Self::Payments => &[&["reference"], &["accountNumber"], &["amount"]],
            Self::Activities => &[&["accountNumber"], &["type"], &["occurredAt"], &["note", "disposition"]],
        }
    }

    /// The collection of the records.
    #[must_use]
    pub fn collection(self) -> &'static Collection {
        match self {
            Self::Customers => &customers::COLLECTION,
            Self::Accounts => &accounts::COLLECTION,
            Self::Payments => &payments::COLLECTION,
            Self::Activities => &activities::COLLECTION,
        }
    }

    /// The name in addresses and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.collection().name
    }

    /// The table of the record's own fields.
    pub(super) fn table(self) -> &'static [search::Field] {
        self.collection().fields
    }

    /// All fields of a file: the record's own, and those of its address, owner or account.
    pub(super) fn fields(self) -> &'static [Field] {
        static ALL: LazyLock<[Vec<Field>; 4]> = LazyLock::new(|| {
            [
                all::<Customer>(Target::Customers, &[ADDRESS, DEBT]),
                all::<Account>(Target::Accounts, &[OWNER]),
                all::<Payment>(Target::Payments, &[ACCOUNT]),
                all::<Activity>(Target::Activities, &[ACCOUNT]),
            ]
        });
        &ALL[self as usize]
    }
}

/// The record's own fields, and those of what belongs to it.
fn all<R: Fields + Default>(target: Target, more: &[&[Foreign]]) -> Vec<Field> {
    let own = target.table().iter().filter_map(|field| Some(own::<R>(field, field.cell?)));
    let more = more.iter().copied().flatten().map(|(name, kind, synonyms)| {
        let is_clearable = ["line2", "city", "region", "postalCode", "country"].contains(name);
        Field { name, kind: *kind, is_clearable, synonyms }
    });
    own.chain(more).collect()
}

/// Whether a request can set the field to null.
fn is_clearable<R: Fields + Default>(field: &search::Field) -> bool {
    let member = R::MEMBERS.iter().find(|member| member.field.name == field.name && member.field.access == Access::Write);
    let takes_null = |member: &Member<R>| {
        let mut violations = Violations::default();
        (member.get_mut)(&mut R::default()).set(Value::Null, &member.field, &mut violations);
        violations.is_empty()
    };
    // Null means the default of a word, and false of a flag.
    let is_default = matches!(field.kind, FieldKind::Keyword(_) | FieldKind::Flag);
    !is_default && (["phone", "email"].contains(&field.name) || member.is_some_and(takes_null))
}

fn own<R: Fields + Default>(field: &search::Field, cell: Cell) -> Field {
    let kind = match field.kind {
        _ if field.name == "phone" => Kind::Phone,
        _ if cell.is_identifier => Kind::Identifier,
        FieldKind::Day if cell.is_forgiven => Kind::ForgivenDay,
        FieldKind::Day => Kind::Day,
        FieldKind::Moment => Kind::Moment,
        FieldKind::Money => Kind::Amount,
        FieldKind::Tags => Kind::Words,
        _ => Kind::Text,
    };
    Field { name: field.name, kind, is_clearable: is_clearable::<R>(field), synonyms: cell.headings }
}

/// A field of what belongs to the record: name, kind, other headings.
type Foreign = (&'static str, Kind, &'static [&'static str]);

/// A customer's postal address.
const ADDRESS: &[Foreign] = &[
    ("streetNumber", Kind::Text, &["housenumber", "houseno", "streetno", "hausnummer"]),
    ("line1", Kind::Text, &["address", "address1", "addressline1", "street", "streetaddress", "straße", "strasse", "adresse"]),
    ("line2", Kind::Text, &["address2", "addressline2", "unit", "apartment", "suite"]),
    ("city", Kind::Text, &["suburb", "town", "locality", "ort", "stadt", "ville", "ciudad"]),
    ("region", Kind::Text, &["state", "province", "county", "bundesland"]),
    ("postalCode", Kind::Text, &["postcode", "zip", "zipcode", "plz", "codepostal", "pincode"]),
    ("country", Kind::Text, &["countrycode", "land", "pays"]),
];

/// The account that is opened with a new customer.
const DEBT: &[Foreign] = &[
    (
        "accountNumber",
        Kind::Identifier,
        &["account", "accountno", "accountid", "loannumber", "invoicenumber", "contractnumber", "kontonummer"],
    ),
    (
        "amountDue",
        Kind::Amount,
        &["balance", "amount", "amountowed", "outstanding", "outstandingamount", "openamount", "betrag", "debt"],
    ),
    ("currency", Kind::Text, &["currencycode", "ccy", "währung"]),
    ("dueDate", Kind::Day, &["due", "payby", "fällig", "fälligkeit"]),
];

/// The customer of an account.
const OWNER: &[Foreign] = &[
    (
        "customerExternalId",
        Kind::Identifier,
        &["customerid", "customernumber", "customerno", "clientid", "debtorid", "recid", "externalid", "kundennummer"],
    ),
    ("customerName", Kind::Text, &["customer", "name", "fullname", "debtor", "debtorname", "clientname"]),
    ("customerPhone", Kind::Phone, &["phone", "phonenumber", "mobile", "telephone", "tel"]),
    ("customerEmail", Kind::Text, &["email", "emailaddress", "mail"]),
];

/// The account of a payment or an activity.
const ACCOUNT: &[Foreign] = &[(
    "accountNumber",
    Kind::Identifier,
    &["account", "accountno", "accountid", "loannumber", "invoicenumber", "contractnumber"],
)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::headings::plain;

    #[test]
    fn no_heading_means_two_fields_of_one_target() {
        for target in Target::value_variants() {
            let mut headings: Vec<String> = target
                .fields()
                .iter()
                .flat_map(|field| field.synonyms.iter().map(|synonym| (*synonym).to_owned()).chain([plain(field.name)]))
                .collect();
            assert!(headings.iter().all(|heading| *heading == plain(heading)), "synonyms are written plainly");
            headings.sort();
            let twice = headings.windows(2).find(|pair| pair[0] == pair[1]);
            assert_eq!(twice, None, "{target:?}");
        }
    }
}
