//! Documents: the record as clients get it, followed by what searches compare in the member `search`.

use serde::Serialize;

use super::Terms;

const SEARCH: &str = r#","search":"#;

/// Serialises a document.
///
/// # Errors
/// A record that cannot be written as JSON.
pub fn write(record: &impl Serialize, terms: &Terms) -> serde_json::Result<Vec<u8>> {
    let mut document = serde_json::to_vec(record)?;
    document.pop();
    document.extend_from_slice(SEARCH.as_bytes());
    serde_json::to_writer(&mut document, terms)?;
    document.push(b'}');
    Ok(document)
}

/// Returns the record in a document, without its closing brace.
#[must_use]
pub fn record(document: &str) -> &str {
    // A quote within a text is escaped, and the search forms hold no object: the last match is the member.
    &document[..document.rfind(SEARCH).unwrap_or(document.len().saturating_sub(1))]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_record_in_a_document_is_what_was_written() {
        let written = json!({ "custom": { "a": "\",\"search\":", "search": { "b": 1 } }, "id": 1 });
        let document = String::from_utf8(write(&written, &Terms::default()).unwrap()).unwrap();
        assert_eq!(format!("{}}}", record(&document)), written.to_string());
    }
}
