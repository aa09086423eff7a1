//! Requests for phones, e-mail addresses and postal addresses of a customer, and their rules.

use serde::Deserialize;
use uuid::Uuid;

use super::customer::{Address, ContactPoint};
use crate::error::Violations;
use crate::validate::{Change, Words};
use crate::values::{ids, text};

const KINDS: Words = Words { known: &["phone", "email"], aliases: &[("mobile", "phone"), ("e_mail", "email")] };
const STATES: Words = Words { known: &["unverified", "valid", "wrong", "blocked"], aliases: &[] };
const MOST: usize = 20;
/// Fewest and most characters of a number or an address, as typed and as compared.
const MIN_LENGTH: usize = 3;
const MAX_LENGTH: usize = 254;

/// A phone number or e-mail address in a request; an id names an existing one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ContactPatch {
    /// Which one.
    pub(super) id: Option<Uuid>,
    /// `phone` or `email`.
    pub(super) kind: Change<String>,
    /// As typed.
    pub(super) value: Change<String>,
    /// `home`, `work`, …
    pub(super) label: Change<String>,
    /// Whether it is the one to use.
    pub(super) is_primary: Option<bool>,
    /// What is known of it.
    pub(super) state: Change<String>,
    /// Derived from the value; taken so that what was read can be sent back.
    pub(super) normalized: Option<String>,
}

/// A postal address in a request; an id names an existing one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct AddressPatch {
    /// Which one.
    pub(super) id: Option<Uuid>,
    /// `home`, `work`, …
    pub(super) label: Change<String>,
    /// Street and number.
    pub(super) line1: Change<String>,
    /// Building, flat.
    pub(super) line2: Change<String>,
    /// City or suburb.
    pub(super) city: Change<String>,
    /// State or province.
    pub(super) region: Change<String>,
    /// Postal code.
    pub(super) postal_code: Change<String>,
    /// Country (ISO 3166-1 alpha-2).
    pub(super) country: Change<String>,
    /// Whether it is the one to use.
    pub(super) is_primary: Option<bool>,
}

/// Replaces the set if the client names one, then sets the primaries that the simple form names.
pub(super) fn apply(
    set: Change<Vec<ContactPatch>>,
    phone: Change<String>,
    email: Change<String>,
    region: &str,
    place: &mut Vec<ContactPoint>,
    violations: &mut Violations,
) {
    if let Change::To(patches) = set {
        let mut before = std::mem::take(place);
        for (at, patch) in patches.unwrap_or_default().into_iter().enumerate() {
            let pointer = format!("/contactPoints/{at}");
            let point = known(&mut before, patch.id, |point| point.id, &pointer, violations).unwrap_or_else(new_point);
            place.push(patch.apply(point, region, &pointer, violations));
        }
    }
    for (kind, change) in [("phone", phone), ("email", email)] {
        let Change::To(value) = change else { continue };
        let primary = place.iter().position(|point| point.kind == kind && point.is_primary);
        match (primary, value) {
            (Some(at), None) => drop(place.remove(at)),
            (None, None) => {}
            (at, Some(value)) => {
                let point = at.map_or_else(new_point, |at| place.remove(at));
                let simple = ContactPatch {
                    kind: Change::new(kind.into()),
                    value: Change::new(value),
                    is_primary: Some(true),
                    ..ContactPatch::default()
                };
                let mut within = Violations::default();
                let point = simple.apply(point, region, "", &mut within);
                violations.flatten(&format!("/{kind}"), within);
                // The same number may be there already as one of several: then it becomes the primary.
                place.retain(|other| other.kind != kind || other.normalized != point.normalized);
                place.push(point);
            }
        }
    }
    settle(place, violations);
}

/// Replaces the set of addresses if the client names one.
pub(super) fn apply_addresses(set: Change<Vec<AddressPatch>>, place: &mut Vec<Address>, violations: &mut Violations) {
    let Change::To(patches) = set else { return };
    let mut before = std::mem::take(place);
    for (at, patch) in patches.unwrap_or_default().into_iter().enumerate() {
        let pointer = format!("/addresses/{at}");
        let address = known(&mut before, patch.id, |address| address.id, &pointer, violations).unwrap_or_else(new_address);
        place.push(patch.apply(address, &pointer, violations));
    }
    settle_addresses(place, violations);
}

/// Puts one contact point into the set; as the primary it takes the place of the one before.
pub(super) fn put_point(
    place: &mut Vec<ContactPoint>,
    patch: ContactPatch,
    point: ContactPoint,
    region: &str,
    violations: &mut Violations,
) {
    let becomes_primary = patch.is_primary == Some(true);
    let point = patch.apply(point, region, "", violations);
    for other in place.iter_mut().filter(|other| becomes_primary && other.kind == point.kind) {
        other.is_primary = false;
    }
    if place.iter().any(|other| other.kind == point.kind && other.normalized == point.normalized) {
        violations.add("/value", "duplicate", "is in the set already");
    }
    place.push(point);
    if violations.is_empty() {
        settle(place, violations);
    }
}

/// Puts one address into the set; as the primary it takes the place of the one before.
pub(super) fn put_address(place: &mut Vec<Address>, patch: AddressPatch, address: Address, violations: &mut Violations) {
    let becomes_primary = patch.is_primary == Some(true);
    let address = patch.apply(address, "", violations);
    for other in place.iter_mut().filter(|_| becomes_primary) {
        other.is_primary = false;
    }
    place.push(address);
    settle_addresses(place, violations);
}

/// Sees to it that each kind has one primary and nothing is there twice.
pub(super) fn settle(points: &mut [ContactPoint], violations: &mut Violations) {
    if points.len() > MOST {
        violations.add("/contactPoints", "too_many", format!("takes at most {MOST} contact points"));
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
    for (at, point) in points.iter().enumerate() {
        if points[..at].iter().any(|other| other.kind == point.kind && other.normalized == point.normalized) {
            violations.add(format!("/contactPoints/{at}/value"), "duplicate", "is in the set twice");
        }
    }
}

/// Sees to it that there is one primary address.
pub(super) fn settle_addresses(addresses: &mut [Address], violations: &mut Violations) {
    if addresses.len() > MOST {
        violations.add("/addresses", "too_many", format!("takes at most {MOST} addresses"));
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
    /// Puts what the client says in its place; a number that changes has to be verified anew.
    pub(super) fn apply(self, mut point: ContactPoint, region: &str, pointer: &str, violations: &mut Violations) -> ContactPoint {
        if point.kind.is_empty() && !self.kind.is_present() {
            violations.add(format!("{pointer}/kind"), "required", "takes phone or email");
        }
        violations.word(&format!("{pointer}/kind"), self.kind, &KINDS, &mut point.kind);
        let place = format!("{pointer}/value");
        let mut value = Some(std::mem::take(&mut point.value));
        violations.text(&place, self.value, (MIN_LENGTH, MAX_LENGTH), &mut value);
        match value.filter(|value| !value.is_empty()) {
            Some(value) => {
                match normalize(&point.kind, &value, region) {
                    Some(normalized) if normalized == point.normalized => {}
                    Some(normalized) => {
                        "unverified".clone_into(&mut point.state);
                        point.normalized = normalized;
                    }
                    None if value.chars().count() < MIN_LENGTH => {}
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
    /// Puts what the client says in its place.
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

/// Takes the entry with this id out of the set that was there; `None` without an id.
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

/// The form in which two values are compared, if the value can be one of its kind at all. It may be longer than the value.
fn normalize(kind: &str, value: &str, region: &str) -> Option<String> {
    let normalized = if kind == "phone" { text::phone(value, region) } else { text::email(value) };
    let can_be = kind == "phone" || text::is_email(&normalized);
    (can_be && (MIN_LENGTH..=MAX_LENGTH).contains(&normalized.chars().count())).then_some(normalized)
}

fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(patch: Value, place: &mut Vec<ContactPoint>, expected: &[(&str, &str)]) {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Contacts {
            contact_points: Change<Vec<ContactPatch>>,
            phone: Change<String>,
            email: Change<String>,
        }
        let mut violations = Violations::default();
        let contacts: Contacts = serde_json::from_value(patch.clone()).unwrap();
        apply(contacts.contact_points, contacts.phone, contacts.email, "US", place, &mut violations);
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
