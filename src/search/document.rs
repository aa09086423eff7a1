//! Documents: the record as clients get it, followed by what searches compare in the member `search`.

use memchr::memmem;
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
    // A quote within a text is escaped, and the search forms hold no object: the last match is the member.
    &document[..memmem::rfind(document, SEARCH).unwrap_or(document.len().saturating_sub(1))]
}

/// Returns what searches compare in a document, an object; nothing if it has none.
#[must_use]
pub fn terms(document: &[u8]) -> &[u8] {
    let end = document.len().saturating_sub(1);
    memmem::rfind(document, SEARCH).map_or(&[], |at| document.get(at + SEARCH.len()..end).unwrap_or_default())
}

/// Reads a number, word or day of the record without parsing what follows it. Only for members that stand before every list and
/// object: there the first match is the member.
///
/// # Errors
/// There is no such member, or its value is of another type.
pub fn member<T: DeserializeOwned>(document: &[u8], name: &str) -> serde_json::Result<T> {
    let is_key = |at: &usize| document[..*at].ends_with(b"\"") && document[at + name.len()..].starts_with(b"\":");
    let key = memmem::find_iter(document, name).find(is_key);
    let value = key.map_or(&[][..], |at| &document[at + name.len() + 2..]);
    serde_json::from_slice(value.split(|byte| matches!(byte, b',' | b'}')).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
}
