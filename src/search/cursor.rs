//! Cursors: a place in an order, signed, so that a client can neither make one nor take one to another question.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::query::Place;

const VERSION: u8 = 1;
const SIGNATURE_BYTES: usize = 16;

/// Signs cursors with a key that is derived from the server's secret.
#[derive(Clone)]
pub struct Signer {
    mac: Hmac<Sha256>,
}

/// What a cursor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// Where to go on.
    #[serde(flatten)]
    pub place: Place,
    /// The question that it belongs to.
    #[serde(rename = "q")]
    pub question: u64,
    /// The engine whose scores the place holds; none if any engine can go on from there.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

impl Signer {
    /// Derives the key.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let derived = keyed(secret).chain_update(b"cursor").finalize().into_bytes();
        Self { mac: keyed(&derived) }
    }

    /// Hashes a question, so that a cursor of another one is noticed.
    #[must_use]
    pub fn question(&self, parts: &[(String, String)]) -> u64 {
        let mut mac = self.mac.clone();
        for (name, value) in parts {
            mac.update(&(name.len() as u64).to_be_bytes());
            mac.update(name.as_bytes());
            mac.update(&(value.len() as u64).to_be_bytes());
            mac.update(value.as_bytes());
        }
        let hash = mac.finalize().into_bytes();
        hash.iter().take(6).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    /// Writes a cursor.
    ///
    /// # Errors
    /// None in practice: every place can be written.
    pub fn write(&self, cursor: &Cursor) -> serde_json::Result<String> {
        let mut bytes = vec![VERSION];
        serde_json::to_writer(&mut bytes, cursor)?;
        let signature = self.mac.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature[..SIGNATURE_BYTES]);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a cursor that this or another server with the same secret wrote.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (signed, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
        self.mac.clone().chain_update(signed).verify_truncated_left(signature).ok()?;
        match signed {
            [VERSION, json @ ..] => serde_json::from_slice(json).ok(),
            _ => None,
        }
    }
}

/// Any length of key is one for HMAC, so the error cannot occur.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::search::query::Key;

    fn cursor() -> Cursor {
        let keys = vec![Key::Integer(i64::MAX - 1), Key::Text("ü".into()), Key::Missing(()), Key::Score(1.5), Key::Flag(true)];
        Cursor { place: Place { keys, id: Uuid::from_u128(7), loose: true }, question: 42, engine: Some("postgres".into()) }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let signer = Signer::new(b"secret");
        assert_eq!(signer.read(&signer.write(&cursor()).unwrap()), Some(cursor()));
    }

    #[test]
    fn a_changed_cursor_is_refused_wherever_it_was_changed() {
        let signer = Signer::new(b"secret");
        let text = signer.write(&cursor()).unwrap();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(signer.read(std::str::from_utf8(&changed).unwrap()), None, "{at}");
        }
        for broken in ["", "A", "AAAAAAAAAAAAAAAAAAAAAAAA", "é", &text[1..], &text[..text.len() - 1]] {
            assert_eq!(signer.read(broken), None, "{broken}");
        }
    }

    #[test]
    fn another_secret_makes_another_signature() {
        let text = Signer::new(b"secret").write(&cursor()).unwrap();
        assert_eq!(Signer::new(b"other").read(&text), None);
    }

    #[test]
    fn questions_differ_by_every_part() {
        let signer = Signer::new(b"secret");
        let hash = |name: &str, value: &str| signer.question(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(hash("a", "b"), hash("a", "b"));
        assert_ne!(hash("ab", ""), hash("a", "b"));
    }
}
