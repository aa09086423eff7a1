//! Masks the personal members of records for callers who may not see them, in one pass over the text.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::document::members;
use super::{Field, FieldKind};
use crate::values::personal::Personal;

/// Members of parts that are words of the program or of standards.
const OPEN: [&str; 4] = ["id", "kind", "state", "country"];

/// Writes a record, as [`super::document::record`] returns it, with its personal members masked.
///
/// # Errors
/// A personal member that is not of its field's kind.
pub fn masked(fields: &[Field], record: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut masked = Vec::with_capacity(record.len());
    for (name, value) in members(record) {
        masked.push(if masked.is_empty() { b'{' } else { b',' });
        masked.push(b'"');
        masked.extend_from_slice(name);
        masked.extend_from_slice(b"\":");
        match personal(fields, name) {
            Some((kind, personal)) => masked.extend_from_slice(mask(kind, personal, value)?.as_bytes()),
            None => masked.extend_from_slice(value),
        }
    }
    Ok(masked)
}

/// Whether a field is personal; `name` may also be of a member of its parts: `addresses.city`.
#[must_use]
pub fn is_personal(fields: &[Field], name: &str) -> bool {
    let name = name.split('.').next().unwrap_or_default();
    personal(fields, name.as_bytes()).is_some()
}

fn personal(fields: &[Field], name: &[u8]) -> Option<(FieldKind, Personal)> {
    let field = fields.iter().find(|field| field.name.as_bytes() == name)?;
    Some((field.kind, field.personal?))
}

/// Masks one value: texts keep their form, days and free JSON nothing.
fn mask(kind: FieldKind, personal: Personal, value: &[u8]) -> serde_json::Result<String> {
    match kind {
        _ if value == b"null" => Ok("null".to_owned()),
        FieldKind::Day => Ok("null".to_owned()),
        FieldKind::Object => Ok("{}".to_owned()),
        FieldKind::Parts(_) => {
            let mut parts: Vec<Map<String, Json>> = serde_json::from_slice(value)?;
            parts.iter_mut().for_each(mask_part);
            serde_json::to_string(&parts)
        }
        _ => serde_json::to_string(&personal.mask(&serde_json::from_slice::<String>(value)?)),
    }
}

/// A contact point or an address as JSON, with its texts masked.
///
/// # Errors
/// What is no JSON object.
pub fn masked_part(part: &impl Serialize) -> serde_json::Result<Map<String, Json>> {
    let mut part = serde_json::from_value(serde_json::to_value(part)?)?;
    mask_part(&mut part);
    Ok(part)
}

fn mask_part(part: &mut Map<String, Json>) {
    let contact = if part.get("kind").is_some_and(|kind| kind == "email") { Personal::Email } else { Personal::Number };
    for (name, value) in part.iter_mut().filter(|(name, _)| !OPEN.contains(&name.as_str())) {
        if let Json::String(text) = value {
            let personal = if matches!(name.as_str(), "value" | "normalized") { contact } else { Personal::Text };
            *text = personal.mask(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FIELDS: &[Field] = &[
        Field::new("name", FieldKind::Folded, "name").personal(Personal::Name),
        Field::new("status", FieldKind::Text, "status"),
        Field::new("dateOfBirth", FieldKind::Day, "date_of_birth").personal(Personal::Text),
        Field::shown("custom", FieldKind::Object).personal(Personal::Text),
        Field::shown("contactPoints", FieldKind::Parts(&[])).personal(Personal::Text),
        Field::shown("addresses", FieldKind::Parts(&[])).personal(Personal::Text),
    ];

    #[test]
    fn personal_members_are_masked_and_others_stay_as_they_are() {
        let record = br#"{"id":"1","name":"Jane \"J\" Smith","status":"a,\"b}","dateOfBirth":"1980-01-31","custom":{"name":{"a":[1]}},"contactPoints":[{"id":"7","kind":"phone","value":"415 555 2671","normalized":"+14155552671","label":"mum","isPrimary":true,"state":"valid"},{"kind":"email","value":"jane@example.com","label":null}],"addresses":[{"line1":"8 High St","country":"DE"}],"balance":-1.50"#;
        let masked = String::from_utf8(masked(FIELDS, record).unwrap()).unwrap();
        assert_eq!(
            masked,
            r#"{"id":"1","name":"J••• \"••• S•••","status":"a,\"b}","dateOfBirth":null,"custom":{},"contactPoints":[{"id":"7","isPrimary":true,"kind":"phone","label":"•••","normalized":"•••2671","state":"valid","value":"•••2671"},{"kind":"email","label":null,"value":"j•••@•••.com"}],"addresses":[{"country":"DE","line1":"•••"}],"balance":-1.50"#
        );
    }

    #[test]
    fn null_stays_null_and_nothing_stays_nothing() {
        assert_eq!(masked(FIELDS, br#"{"name":null"#).unwrap(), br#"{"name":null"#);
        assert_eq!(masked(FIELDS, b"").unwrap(), b"");
    }

    #[test]
    fn parts_are_as_personal_as_their_field() {
        for (name, expected) in [("name", true), ("addresses.city", true), ("status", false), ("phone", false)] {
            assert_eq!(is_personal(FIELDS, name), expected, "{name}");
        }
    }
}
