//! Documents: the record as clients get it, followed by what searches compare in the member `search`.

use memchr::{memchr_iter, memrchr_iter};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Terms;

const SEARCH: &[u8] = br#","search":"#;

/// Serialises a document.
///
/// # Errors
/// A record that cannot be written as JSON.
pub fn write(record: &impl Serialize, terms: &Terms) -> serde_json::Result<Vec<u8>> {
    let mut document = serde_json::to_vec(record)?;
    document.pop();
    document.extend_from_slice(SEARCH);
    serde_json::to_writer(&mut document, terms)?;
    document.push(b'}');
    Ok(document)
}

/// Returns the record in a document, without its closing brace.
#[must_use]
pub fn record(document: &[u8]) -> &[u8] {
    &document[..search(document).unwrap_or(document.len().saturating_sub(1))]
}

/// Returns what searches compare in a document, an object; nothing if it has none.
#[must_use]
pub fn terms(document: &[u8]) -> &[u8] {
    let end = document.len().saturating_sub(1);
    search(document).map_or(&[], |at| document.get(at + SEARCH.len()..end).unwrap_or_default())
}

/// Where the member `search` begins. A quote within a text is escaped, and the search forms hold no object: the last match is it.
fn search(document: &[u8]) -> Option<usize> {
    memrchr_iter(b',', document).find(|at| document[*at..].starts_with(SEARCH))
}

/// Returns the value of a member and what follows it, if that is what begins here: the name in its quotes.
fn value_of<'d>(text: &'d [u8], name: &str) -> Option<&'d [u8]> {
    text.strip_prefix(b"\"")?.strip_prefix(name.as_bytes())?.strip_prefix(b"\":")
}

fn read<T: DeserializeOwned>(value: Option<&[u8]>) -> serde_json::Result<T> {
    let end = |byte: &u8| matches!(byte, b',' | b'}');
    serde_json::from_slice(value.unwrap_or_default().split(end).next().unwrap_or_default())
}

/// Reads a number, word or day of the record without parsing what follows it. Only for members that stand before every list and
/// object: there the first match is the member.
///
/// # Errors
/// There is no such member, or its value is of another type.
pub fn member<T: DeserializeOwned>(document: &[u8], name: &str) -> serde_json::Result<T> {
    read(memchr_iter(b'"', document).find_map(|at| value_of(&document[at..], name)))
}

/// Reads a number, word or day of the record from its end. Only for members behind which stands no text of a client: there the last
/// match is the member.
///
/// # Errors
/// There is no such member, or its value is of another type.
pub fn last_member<T: DeserializeOwned>(record: &[u8], name: &str) -> serde_json::Result<T> {
    read(memrchr_iter(b',', record).find_map(|at| value_of(&record[at + 1..], name)))
}

/// Some members of records.
#[derive(Clone, Debug)]
pub struct Projection(Vec<&'static str>);

impl Projection {
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = &'static str>) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    /// Copies these members, in their order in the record, each behind a comma but the first of an empty object.
    pub fn copy(&self, members: &[u8], into: &mut Vec<u8>) {
        for (name, member) in self::members(members).filter(|(name, _)| self.0.iter().any(|known| known.as_bytes() == *name)) {
            if into.last() != Some(&b'{') {
                into.push(b',');
            }
            into.push(b'"');
            into.extend_from_slice(name);
            into.extend_from_slice(b"\":");
            into.extend_from_slice(member);
        }
    }
}

/// Splits what [`write()`] has written, or some members each behind a comma, into names and values without parsing these.
pub fn members(mut text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        // An opening brace or a comma, and a quote.
        let name = text.get(2..).filter(|_| text[1] == b'"')?;
        let (name, value) = name.split_at(end_of_text(name)?);
        let value = value.get(2..)?;
        let (value, rest) = value.split_at(end_of_value(value));
        text = rest;
        Some((name, value))
    })
}

/// Where the quote is that ends a text.
fn end_of_text(text: &[u8]) -> Option<usize> {
    let is_escaped = |at: usize| text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
    memchr::memchr_iter(b'"', text).find(|at| !is_escaped(*at))
}

/// Where the comma or brace is that follows a value.
fn end_of_value(value: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = value.get(at) {
        match byte {
            b'"' => at += value.get(at + 1..).and_then(end_of_text).map_or(value.len(), |end| end + 1),
            b'{' | b'[' => depth += 1,
            b',' | b'}' if depth == 0 => break,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    at.min(value.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_last_member_is_found_behind_texts_that_look_like_it() {
        let record =
            br#"{"id":1,"note":",\"createdBy\":\"x\"","custom":{"a":0,"createdBy":"y"},"createdBy":"z","deletedAt":null"#;
        assert_eq!(last_member::<String>(record, "createdBy").unwrap(), "z");
        assert_eq!(last_member::<Option<String>>(record, "deletedAt").unwrap(), None);
        last_member::<String>(record, "updatedBy").unwrap_err();
    }

    #[test]
    fn the_record_in_a_document_is_what_was_written() {
        let written = json!({ "custom": { "a": "\",\"search\":", "search": { "b": 1 } }, "id": 1 });
        let document = write(&written, &Terms::default()).unwrap();
        assert_eq!([record(&document), b"}"].concat(), written.to_string().as_bytes());
    }

    #[test]
    fn a_member_is_read_whatever_the_texts_before_it_say() {
        let document =
            br#"{"name":"\"due\":7,\"balance\":1","balance":-12.50,"dueDate":null,"due":"2026-01-31","custom":{"due":1}}"#;
        assert_eq!(member::<f64>(document, "balance").unwrap(), -12.5);
        assert_eq!(member::<Option<String>>(document, "dueDate").unwrap(), None);
        assert_eq!(member::<String>(document, "due").unwrap(), "2026-01-31");
        assert!(member::<f64>(document, "amount").is_err());
    }

    #[test]
    fn named_members_are_copied_as_they_are() {
        let document =
            br#"{"id":1,"name":"a\\\",\"b\":2","tags":["x,y","}"],"custom":{"id":{"name":[]}},"balance":-1.50,"search":{}}"#;
        let copied = |names: &[&'static str]| {
            let mut copied = b"{".to_vec();
            Projection::new(names.iter().copied()).copy(record(document), &mut copied);
            Projection::new(names.iter().copied()).copy(br#","isOverdue":true,"daysPastDue":3"#, &mut copied);
            String::from_utf8(copied).unwrap()
        };
        assert_eq!(copied(&["balance", "id"]), r#"{"id":1,"balance":-1.50"#);
        assert_eq!(copied(&["name", "daysPastDue"]), r#"{"name":"a\\\",\"b\":2","daysPastDue":3"#);
        assert_eq!(copied(&["tags", "custom"]), r#"{"tags":["x,y","}"],"custom":{"id":{"name":[]}}"#);
        assert_eq!(copied(&["b"]), "{");
    }

    proptest! {
        #[test]
        fn every_member_is_found_whatever_its_value(texts in proptest::collection::vec("\\PC{0,9}|[\"\\\\{}\\[\\],:]{0,9}", 0..6)) {
            let written: serde_json::Map<String, serde_json::Value> =
                texts.iter().enumerate().map(|(at, text)| (format!("m{at}"), json!({ "a": [text, { "b": text }, 1.5] }))).collect();
            let document = write(&written, &Terms::default()).unwrap();
            let found: Vec<(String, serde_json::Value)> = members(record(&document))
                .map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), serde_json::from_slice(value).unwrap()))
                .collect();
            prop_assert_eq!(found, written.into_iter().collect::<Vec<_>>());
        }
    }
}
