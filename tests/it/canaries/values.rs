//! Canaries: personal values that exist nowhere else, so that a sink that shows one is found out.

use std::collections::BTreeMap;

/// What each value stands for. The beginning of a name says what it looks like; most are words of letters.
const NAMES: [&str; 62] = [
    "name",
    "givenName",
    "familyName",
    "companyName",
    "otherName",
    "importedName",
    "mergedName",
    "externalId",
    "taxId",
    "secondTaxId",
    "birthday",
    "birthdayOfOther",
    "phone",
    "phoneNational",
    "phoneSpaced",
    "phoneImported",
    "phoneSearched",
    "email",
    "emailSecond",
    "emailImported",
    "emailSearched",
    "emailOfUser",
    "line1",
    "line2",
    "city",
    "region",
    "postalCode",
    "addressLabel",
    "contactLabel",
    "accountNumber",
    "creditor",
    "portfolio",
    "product",
    "reference",
    "receiver",
    "description",
    "failureCode",
    "failureReason",
    "reason",
    "tag",
    "secondTag",
    "metadataKey",
    "metadataValue",
    "customKey",
    "customValue",
    "username",
    "wrongUsername",
    "password",
    "wrongPassword",
    "phrase",
    "searchName",
    "parameter",
    "member",
    "segment",
    "header",
    "token",
    "note",
    "uploadedName",
    "phoneUploaded",
    "emailUploaded",
    "unreadable",
    "fileName",
];

/// One run's values.
pub(super) struct Canaries(BTreeMap<&'static str, String>);

impl Canaries {
    pub(super) fn new() -> Self {
        Self(NAMES.into_iter().enumerate().map(|(number, name)| (name, value(name, number))).collect())
    }

    /// The value of a name, as a client writes it.
    #[track_caller]
    pub(super) fn of(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("{name} is one of NAMES"))
    }

    /// The names whose values are in a text, in any case and however a phone is written.
    pub(super) fn found_in(&self, text: &str) -> Vec<&'static str> {
        let text = text.to_lowercase();
        self.0
            .iter()
            .filter(|(name, value)| forms(name, value).iter().any(|form| text.contains(form)))
            .map(|(name, _)| *name)
            .collect()
    }
}

fn value(name: &'static str, number: usize) -> String {
    let random = u128::from_le_bytes(*collections::values::ids::new().as_bytes()) ^ rand::random::<u128>();
    let letters = (0..14).map(|at| char::from(b'a' + (random >> (at * 8) & 0xff) as u8 % 26)).collect::<String>();
    let digits = format!("{:08}", random % 100_000_000);
    let (first, second) = digits.split_at(4);
    match name {
        "phoneNational" => format!("(0151) {first}-{second}"),
        "phoneSpaced" => format!("0049 151 {first} {second}"),
        _ if name.starts_with("phone") => format!("+49151{digits}"),
        _ if name.starts_with("email") => format!("qz{letters}@qz{letters}.org"),
        _ if name.starts_with("birthday") => format!("19{}-07-1{}", 31 + number % 9, number % 10),
        _ => format!("Qz{letters}"),
    }
}

/// The ways in which a program may write a value, in small letters.
fn forms(name: &str, value: &str) -> Vec<String> {
    let value = value.to_lowercase();
    if name.starts_with("phone") {
        let digits: String = value.chars().filter(char::is_ascii_digit).collect();
        let national = digits[digits.len() - 11..].to_owned();
        return vec![value, national];
    }
    vec![value]
}

#[test]
fn a_planted_canary_is_found_in_every_form() {
    let canaries = Canaries::new();
    let national = canaries.of("phoneNational");
    let digits: String = national.chars().filter(char::is_ascii_digit).skip(1).collect();
    for (text, expected) in [
        (canaries.of("name").to_uppercase(), vec!["name"]),
        (format!("tel:{national}"), vec!["phoneNational"]),
        (format!("+49{digits}"), vec!["phoneNational"]),
        ("nothing".to_owned(), Vec::new()),
    ] {
        assert_eq!(canaries.found_in(&text), expected, "{text}");
    }
    assert!(NAMES.len() >= 50);
}
