//! Contact points and addresses of a customer: what requests can change, and the rules.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::customer::{Address, ContactPoint};
use crate::error::Violations;
use crate::validate::{Change, Words};
use crate::values::{ids, text};

const KINDS: Words = Words { known: &["phone", "email"], aliases: &[("mobile", "phone"), ("e_mail", "email")] };
const STATES: Words = Words { known: &["unverified", "valid", "wrong", "blocked"], aliases: &[] };
/// Entries of a set.
const MOST: usize = 20;
/// Characters of a phone number or e-mail address (RFC 5321, 4.5.3.1.3).
const VALUE: (usize, usize) = (3, 254);

/// Changes of a phone number or e-mail address. With an id of an existing one, else a new one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ContactPatch {
    pub(super) id: Option<Uuid>,
    /// `phone` or `email`.
    #[schemars(extend("enum" = with_null(&KINDS)))]
    pub(super) kind: Change<String>,
    /// As the client writes it.
    #[schemars(length(min = 3, max = 254))]
    pub(super) value: Change<String>,
    /// `home`, `work`, …
    #[schemars(length(min = 1, max = 50))]
    pub(super) label: Change<String>,
    /// The one to use of its kind.
    pub(super) is_primary: Option<bool>,
    /// `unverified`, `valid`, `wrong` or `blocked`.
    #[schemars(extend("enum" = with_null(&STATES)))]
    pub(super) state: Change<String>,
    /// Derived from the value; accepted, so that a client can send back what it has read, and ignored.
    pub(super) normalized: Option<String>,
}

/// Changes of a postal address. With an id of an existing one, else a new one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct AddressPatch {
    pub(super) id: Option<Uuid>,
    /// `home`, `work`, …
    #[schemars(length(min = 1, max = 50))]
    pub(super) label: Change<String>,
    /// Street and number.
    #[schemars(length(min = 1, max = 200))]
    pub(super) line1: Change<String>,
    /// Building, flat.
    #[schemars(length(min = 1, max = 200))]
    pub(super) line2: Change<String>,
    /// City or suburb.
    #[schemars(length(min = 1, max = 100))]
    pub(super) city: Change<String>,
    /// State or province.
    #[schemars(length(min = 1, max = 100))]
    pub(super) region: Change<String>,
    /// Postal code.
    #[schemars(length(min = 1, max = 20))]
    pub(super) postal_code: Change<String>,
    /// Country (ISO 3166-1 alpha-2).
    #[schemars(regex(pattern = "^[A-Za-z]{2}$"))]
    pub(super) country: Change<String>,
    /// The one to use.
    pub(super) is_primary: Option<bool>,
}

/// The words of a member that null can clear.
fn with_null(words: &Words) -> Vec<Option<&'static str>> {
    words.known.iter().copied().map(Some).chain([None]).collect()
}

/// Replaces the contact points by `contactPoints`, then sets the primary ones by `phone` and `email`.
pub(super) fn apply(
    set: Change<Vec<ContactPatch>>,
    phone: Change<String>,
    email: Change<String>,
    region: &str,
    points: &mut Vec<ContactPoint>,
    violations: &mut Violations,
) {
    if let Change::To(patches) = set {
        let patches = patches.unwrap_or_default();
        if violations.are_too_many("/contactPoints", patches.len(), MOST) {
            return;
        }
        let mut before = std::mem::take(points);
        for (at, patch) in patches.into_iter().enumerate() {
            let pointer = format!("/contactPoints/{at}");
            let point = known(&mut before, patch.id, |point| point.id, &pointer, violations).unwrap_or_else(new_point);
            points.push(patch.apply(point, region, &pointer, violations));
        }
    }
    for (kind, change) in [("phone", phone), ("email", email)] {
        let Change::To(value) = change else { continue };
        let primary = points.iter().position(|point| point.kind == kind && point.is_primary);
        match (primary, value) {
            (Some(at), None) => drop(points.remove(at)),
            (None, None) => {}
            (at, Some(value)) => {
                let point = at.map_or_else(new_point, |at| points.remove(at));
                let simple = ContactPatch {
                    kind: Change::new(kind.into()),
                    value: Change::new(value),
                    is_primary: Some(true),
                    ..ContactPatch::default()
                };
                let mut within = Violations::default();
                let point = simple.apply(point, region, "", &mut within);
                violations.flatten(&format!("/{kind}"), within);
                // If the set has the value already, it becomes the primary one.
                points.retain(|other| other.kind != kind || other.normalized != point.normalized);
                points.push(point);
            }
        }
    }
    validate_points(points, violations);
}

/// Replaces the addresses by `addresses`.
pub(super) fn apply_addresses(set: Change<Vec<AddressPatch>>, addresses: &mut Vec<Address>, violations: &mut Violations) {
    let Change::To(patches) = set else { return };
    let patches = patches.unwrap_or_default();
    if violations.are_too_many("/addresses", patches.len(), MOST) {
        return;
    }
    let mut before = std::mem::take(addresses);
    for (at, patch) in patches.into_iter().enumerate() {
        let pointer = format!("/addresses/{at}");
        let address = known(&mut before, patch.id, |address| address.id, &pointer, violations).unwrap_or_else(new_address);
        addresses.push(patch.apply(address, &pointer, violations));
    }
    validate_addresses(addresses, violations);
}

/// Adds a contact point. A new primary replaces the previous one.
pub(super) fn put_point(
    points: &mut Vec<ContactPoint>,
    patch: ContactPatch,
    point: ContactPoint,
    region: &str,
    violations: &mut Violations,
) {
    let becomes_primary = patch.is_primary == Some(true);
    let point = patch.apply(point, region, "", violations);
    for other in points.iter_mut().filter(|other| becomes_primary && other.kind == point.kind) {
        other.is_primary = false;
    }
    if points.iter().any(|other| other.kind == point.kind && other.normalized == point.normalized) {
        violations.add("/value", "duplicate", "is in the set already");
    }
    points.push(point);
    if violations.is_empty() {
        validate_points(points, violations);
    }
}

/// Adds an address. A new primary replaces the previous one.
pub(super) fn put_address(addresses: &mut Vec<Address>, patch: AddressPatch, address: Address, violations: &mut Violations) {
    let becomes_primary = patch.is_primary == Some(true);
    let address = patch.apply(address, "", violations);
    for other in addresses.iter_mut().filter(|_| becomes_primary) {
        other.is_primary = false;
    }
    addresses.push(address);
    validate_addresses(addresses, violations);
}

/// Checks size and duplicates, and that each kind has one primary; without one the first becomes it.
pub(super) fn validate_points(points: &mut [ContactPoint], violations: &mut Violations) {
    if violations.are_too_many("/contactPoints", points.len(), MOST) {
        return;
    }
    for kind in KINDS.known {
        let mut primaries = points.iter_mut().filter(|point| point.kind == *kind && point.is_primary);
        let first = primaries.next().is_some();
        if primaries.next().is_some() {
            violations.add("/contactPoints", "several_primaries", format!("takes one primary {kind}"));
        }
        if !first && let Some(point) = points.iter_mut().find(|point| point.kind == *kind) {
            point.is_primary = true;
        }
    }
    let mut seen = HashSet::new();
    for (at, point) in points.iter().enumerate() {
        if !seen.insert((&point.kind, &point.normalized)) {
            violations.add(format!("/contactPoints/{at}/value"), "duplicate", "is in the set twice");
        }
    }
}

/// Checks the size, and that one address is the primary; without one the first becomes it.
pub(super) fn validate_addresses(addresses: &mut [Address], violations: &mut Violations) {
    if violations.are_too_many("/addresses", addresses.len(), MOST) {
        return;
    }
    match addresses.iter().filter(|address| address.is_primary).count() {
        0 => {
            if let Some(address) = addresses.first_mut() {
                address.is_primary = true;
            }
        }
        1 => {}
        _ => violations.add("/addresses", "several_primaries", "takes one primary address"),
    }
}

impl ContactPatch {
    /// Applies the changes. A changed value is unverified.
    pub(super) fn apply(self, mut point: ContactPoint, region: &str, pointer: &str, violations: &mut Violations) -> ContactPoint {
        if point.kind.is_empty() && !self.kind.is_present() {
            violations.add(format!("{pointer}/kind"), "required", "takes phone or email");
        }
        violations.word(&format!("{pointer}/kind"), self.kind, &KINDS, &mut point.kind);
        let place = format!("{pointer}/value");
        let mut value = Some(std::mem::take(&mut point.value));
        violations.text(&place, self.value, VALUE, &mut value);
        match value.filter(|value| !value.is_empty()) {
            // Refused already; a number that long would take long to read.
            Some(value) if !(VALUE.0..=VALUE.1).contains(&value.chars().count()) => point.value = value,
            Some(value) => {
                match normalize(&point.kind, &value, region) {
                    Some(normalized) if normalized == point.normalized => {}
                    Some(normalized) => {
                        "unverified".clone_into(&mut point.state);
                        point.normalized = normalized;
                    }
                    None if value.chars().count() < VALUE.0 => {}
                    None => violations.add(place, "not_a_contact", "is no phone number or e-mail address, as its kind says"),
                }
                point.value = value;
            }
            None => violations.add(place, "required", "needs a value"),
        }
        violations.text(&format!("{pointer}/label"), self.label, (1, 50), &mut point.label);
        violations.word(&format!("{pointer}/state"), self.state, &STATES, &mut point.state);
        point.is_primary = self.is_primary.unwrap_or(point.is_primary);
        point
    }
}

impl AddressPatch {
    /// Applies the changes.
    pub(super) fn apply(self, mut address: Address, pointer: &str, violations: &mut Violations) -> Address {
        let mut line1 = Some(std::mem::take(&mut address.line1)).filter(|line| !line.is_empty());
        violations.text(&format!("{pointer}/line1"), self.line1, (1, 200), &mut line1);
        match line1 {
            Some(line1) => address.line1 = line1,
            None => violations.add(format!("{pointer}/line1"), "required", "needs a street or a post box"),
        }
        violations.text(&format!("{pointer}/label"), self.label, (1, 50), &mut address.label);
        violations.text(&format!("{pointer}/line2"), self.line2, (1, 200), &mut address.line2);
        violations.text(&format!("{pointer}/city"), self.city, (1, 100), &mut address.city);
        violations.text(&format!("{pointer}/region"), self.region, (1, 100), &mut address.region);
        violations.text(&format!("{pointer}/postalCode"), self.postal_code, (1, 20), &mut address.postal_code);
        if let Change::To(country) = self.country {
            address.country = country.map(|country| country.trim().to_uppercase());
            if address.country.as_ref().is_some_and(|country| !is_country(country)) {
                violations.add(format!("{pointer}/country"), "not_a_country", "takes a country code of ISO 3166-1 such as DE");
            }
        }
        address.is_primary = self.is_primary.unwrap_or(address.is_primary);
        address
    }
}

/// Removes the entry with this id from the previous set and returns it; `None` without an id.
fn known<T>(before: &mut Vec<T>, id: Option<Uuid>, of: fn(&T) -> Uuid, pointer: &str, violations: &mut Violations) -> Option<T> {
    let id = id?;
    let found = before.iter().position(|entry| of(entry) == id);
    if found.is_none() {
        violations.add(format!("{pointer}/id"), "unknown_id", "is not, or not only once, in the customer's set");
    }
    found.map(|at| before.remove(at))
}

pub(super) fn new_point() -> ContactPoint {
    ContactPoint { id: ids::ContactPointId::new().0, state: "unverified".into(), ..ContactPoint::default() }
}

pub(super) fn new_address() -> Address {
    Address { id: ids::AddressId::new().0, ..Address::default() }
}

/// Returns the form in which values are compared; `None` if the value is not one of its kind.
fn normalize(kind: &str, value: &str, region: &str) -> Option<String> {
    let normalized = if kind == "phone" { text::phone(value, region) } else { text::email(value) };
    let can_be = kind == "phone" || text::is_email(&normalized);
    (can_be && (VALUE.0..=VALUE.1).contains(&normalized.chars().count())).then_some(normalized)
}

fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(patch: Value, points: &mut Vec<ContactPoint>, expected: &[(&str, &str)]) {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Contacts {
            contact_points: Change<Vec<ContactPatch>>,
            phone: Change<String>,
            email: Change<String>,
        }
        let mut violations = Violations::default();
        let contacts: Contacts = serde_json::from_value(patch.clone()).unwrap();
        apply(contacts.contact_points, contacts.phone, contacts.email, "US", points, &mut violations);
        let violations = violations.take();
        let found: Vec<(&str, &str)> =
            violations.iter().map(|violation| (violation.pointer.as_str(), violation.code.as_ref())).collect();
        assert_eq!(found, expected, "{patch}");
    }

    #[test]
    fn the_simple_form_changes_the_primary_and_leaves_the_others() {
        let mut points = Vec::new();
        check(json!({ "phone": "(415) 555-2671", "email": "Ann@Example.com" }), &mut points, &[]);
        let (id, normalized) = (points[0].id, points[0].normalized.clone());
        assert_eq!((normalized.as_str(), points[1].normalized.as_str()), ("+14155552671", "ann@example.com"));
        check(json!({ "phone": "415 555 2672" }), &mut points, &[]);
        assert!(points.iter().any(|point| point.id == id && point.normalized == "+14155552672" && point.is_primary));
        check(json!({ "phone": null }), &mut points, &[]);
        assert!(points.iter().all(|point| point.kind == "email"));
    }

    #[test]
    fn the_set_is_replaced_and_entries_keep_their_ids() {
        let mut points = Vec::new();
        let set =
            json!([{ "kind": "phone", "value": "4155552671" }, { "kind": "phone", "value": "4155552672", "label": "work" }]);
        check(json!({ "contactPoints": set }), &mut points, &[]);
        assert_eq!(points.iter().map(|point| point.is_primary).collect::<Vec<_>>(), [true, false]);
        let kept = points[1].id;
        check(json!({ "contactPoints": [{ "id": kept, "state": "valid" }] }), &mut points, &[]);
        assert_eq!((points.len(), points[0].id, points[0].state.as_str()), (1, kept, "valid"));
        assert_eq!((points[0].label.as_deref(), points[0].is_primary), (Some("work"), true));
    }

    #[test]
    fn a_set_that_contradicts_itself_is_refused() {
        let number = json!({ "kind": "phone", "value": "4155552671" });
        check(json!({ "contactPoints": [number, number] }), &mut Vec::new(), &[("/contactPoints/1/value", "duplicate")]);
        let stranger = json!([{ "id": Uuid::nil(), "kind": "email", "value": "a@b.c" }]);
        check(json!({ "contactPoints": stranger }), &mut Vec::new(), &[("/contactPoints/0/id", "unknown_id")]);
        // In small letters it has more characters than the column takes.
        let growing = format!("{}@b.c", "İ".repeat(200));
        check(json!({ "email": growing }), &mut Vec::new(), &[("/email", "not_a_contact")]);
        check(
            json!({ "contactPoints": [{ "kind": "email", "value": "invalid" }] }),
            &mut Vec::new(),
            &[("/contactPoints/0/value", "not_a_contact")],
        );
        let many: Vec<Value> = (0..21).map(|n| json!({ "kind": "email", "value": format!("{n}@b.c") })).collect();
        check(json!({ "contactPoints": many }), &mut Vec::new(), &[("/contactPoints", "too_many")]);
    }
}
