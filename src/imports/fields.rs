//! The fields that a file can hold, and their headings.

use std::sync::LazyLock;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::features::{accounts, customers, payments};
use crate::search::{self, Cell, Collection, FieldKind};

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
}

/// A field that a column can hold.
#[derive(Debug)]
pub(super) struct Field {
    /// As in the API.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Other headings, in the form of [`plain`].
    pub(super) synonyms: &'static [&'static str],
}

/// How a cell is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A number that is a name: if a spreadsheet has rounded it, that is an error.
    Identifier,
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
        }
    }

    /// A file needs one field of each set.
    pub(super) fn required(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Customers => &[&["externalId"], &["name", "familyName", "givenName", "companyName"]],
            Self::Accounts => &[&["accountNumber"], &["customerExternalId"]],
            Self::Payments => &[&["reference"], &["accountNumber"], &["amount"]],
        }
    }

    /// The collection of the records.
    #[must_use]
    pub fn collection(self) -> &'static Collection {
        match self {
            Self::Customers => &customers::COLLECTION,
            Self::Accounts => &accounts::COLLECTION,
            Self::Payments => &payments::COLLECTION,
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
        static ALL: LazyLock<[Vec<Field>; 3]> = LazyLock::new(|| {
            let own = |target: Target| target.table().iter().filter_map(|field| Some(own(field, field.cell?)));
            let all = |target, more: &[(&'static str, Kind, &'static [&'static str])]| {
                let more = more.iter().map(|(name, kind, synonyms)| Field { name, kind: *kind, synonyms });
                own(target).chain(more).collect()
            };
            [all(Target::Customers, ADDRESS), all(Target::Accounts, OWNER), all(Target::Payments, ACCOUNT)]
        });
        &ALL[self as usize]
    }

    /// Finds the field of a heading, by name or synonym.
    pub(super) fn find(self, heading: &str) -> Option<(&'static Field, Match)> {
        let heading = plain(heading);
        let exact = self.fields().iter().find(|field| plain(field.name) == heading);
        let synonym = || self.fields().iter().find(|field| field.synonyms.contains(&heading.as_str()));
        exact.map(|field| (field, Match::Exact)).or_else(|| synonym().map(|field| (field, Match::Synonym)))
    }

    /// Suggests a field for a misspelt heading. It is only shown, for the operator to confirm.
    pub(super) fn suggest(self, heading: &str) -> Option<&'static str> {
        let heading = plain(heading);
        let likeness = |field: &Field| {
            let own = strsim::jaro_winkler(&plain(field.name), &heading);
            field.synonyms.iter().map(|synonym| strsim::jaro_winkler(synonym, &heading)).fold(own, f64::max)
        };
        let (field, likeness) =
            self.fields().iter().map(|field| (field, likeness(field))).max_by(|one, other| one.1.total_cmp(&other.1))?;
        (likeness >= 0.85).then_some(field.name)
    }
}

/// How a heading was matched, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    Synonym,
    Exact,
    /// By the operator.
    Given,
}

/// A heading in lower case, with letters and digits only.
pub(super) fn plain(heading: &str) -> String {
    heading.chars().filter(|sign| sign.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn own(field: &search::Field, cell: Cell) -> Field {
    let kind = match field.kind {
        _ if cell.is_identifier => Kind::Identifier,
        FieldKind::Day if cell.is_forgiven => Kind::ForgivenDay,
        FieldKind::Day => Kind::Day,
        FieldKind::Moment => Kind::Moment,
        FieldKind::Money => Kind::Amount,
        FieldKind::Tags => Kind::Words,
        _ => Kind::Text,
    };
    Field { name: field.name, kind, synonyms: cell.headings }
}

/// A customer's postal address.
const ADDRESS: &[(&str, Kind, &[&str])] = &[
    ("streetNumber", Kind::Text, &["housenumber", "houseno", "streetno", "hausnummer"]),
    ("line1", Kind::Text, &["address", "address1", "addressline1", "street", "streetaddress", "straße", "strasse", "adresse"]),
    ("line2", Kind::Text, &["address2", "addressline2", "unit", "apartment", "suite"]),
    ("city", Kind::Text, &["suburb", "town", "locality", "ort", "stadt", "ville", "ciudad"]),
    ("region", Kind::Text, &["state", "province", "county", "bundesland"]),
    ("postalCode", Kind::Text, &["postcode", "zip", "zipcode", "plz", "codepostal", "pincode"]),
    ("country", Kind::Text, &["countrycode", "land", "pays"]),
];

/// The customer of an account.
const OWNER: &[(&str, Kind, &[&str])] = &[
    (
        "customerExternalId",
        Kind::Identifier,
        &["customerid", "customernumber", "customerno", "clientid", "debtorid", "recid", "externalid", "kundennummer"],
    ),
    ("customerName", Kind::Text, &["customer", "name", "fullname", "debtor", "debtorname", "clientname"]),
    ("customerPhone", Kind::Text, &["phone", "phonenumber", "mobile", "telephone", "tel"]),
    ("customerEmail", Kind::Text, &["email", "emailaddress", "mail"]),
];

/// The account of a payment.
const ACCOUNT: &[(&str, Kind, &[&str])] = &[(
    "accountNumber",
    Kind::Identifier,
    &["account", "accountno", "accountid", "loannumber", "invoicenumber", "contractnumber"],
)];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: Target, heading: &str, expected: Option<(&str, Match)>) {
        let found = target.find(heading).map(|(field, how)| (field.name, how));
        assert_eq!(found, expected, "{heading:?}");
    }

    #[test]
    fn headings_match_without_case_blanks_and_signs() {
        check(Target::Customers, "externalId", Some(("externalId", Match::Exact)));
        check(Target::Customers, " EXTERNAL_ID ", Some(("externalId", Match::Exact)));
        check(Target::Customers, "rec_id", Some(("externalId", Match::Synonym)));
        check(Target::Customers, "Last Name", Some(("familyName", Match::Synonym)));
        check(Target::Customers, "E-Mail", Some(("email", Match::Exact)));
        check(Target::Customers, "PRÉNOM", Some(("givenName", Match::Synonym)));
        check(Target::Accounts, "Amount due", Some(("balance", Match::Synonym)));
        check(Target::Payments, "Paid on", Some(("receivedAt", Match::Synonym)));
        check(Target::Payments, "surname", None);
        check(Target::Customers, "", None);
    }

    #[test]
    fn a_misspelt_heading_is_suggested_and_never_taken() {
        check(Target::Customers, "surnmae", None);
        assert_eq!(Target::Customers.suggest("surnmae"), Some("familyName"));
        assert_eq!(Target::Customers.suggest("favourite colour"), None);
    }

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
