//! Cursors: a sort position, signed, so that a client can neither make one nor use it for another list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::query::{Engine, SortPosition};
use super::router::view::View;
use crate::values::keyed::derived;

const VERSION: u8 = 1;
const SIGNATURE_BYTES: usize = 16;

/// Signs cursors with a key derived from the server's secret.
#[derive(Clone)]
pub struct Signer {
    mac: Hmac<Sha256>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// Of the list that the cursor belongs to.
    #[serde(rename = "q")]
    pub filter_hash: u64,
    #[serde(flatten)]
    pub place: Place,
}

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The last document of the page before.
    #[serde(flatten)]
    pub position: SortPosition,
    /// The engine whose scores the position holds; absent if either engine can continue.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub scored_by: Option<Engine>,
    /// The view that is walked; absent if each page shows what there is.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
}

impl Signer {
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { mac: derived(secret, "cursor") }
    }

    /// Hashes the parameters that decide which documents a list has, and in which order.
    #[must_use]
    pub fn filter_hash(&self, params: &[(String, String)]) -> u64 {
        let mut mac = self.mac.clone();
        for (name, value) in params {
            mac.update(&(name.len() as u64).to_be_bytes());
            mac.update(name.as_bytes());
            mac.update(&(value.len() as u64).to_be_bytes());
            mac.update(value.as_bytes());
        }
        let hash = mac.finalize().into_bytes();
        hash.iter().take(6).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    pub fn write(&self, cursor: &Cursor) -> serde_json::Result<String> {
        let mut bytes = vec![VERSION];
        serde_json::to_writer(&mut bytes, cursor)?;
        let signature = self.mac.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature[..SIGNATURE_BYTES]);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a cursor of any server with the same secret.
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

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::search::phrase::Rarity;
    use crate::search::query::{Key, Loose};

    fn cursor() -> Cursor {
        let keys = vec![Key::Integer(i64::MAX - 1), Key::Text("ü".into()), Key::Missing(()), Key::Score(1.5), Key::Flag(true)];
        let loose = Loose { rarities: vec![Rarity::new(5000, 3, 0)], least: 1, shown: 10 };
        let position = SortPosition { keys, id: Uuid::from_u128(7), loose: Some(loose) };
        Cursor { filter_hash: 42, place: Place { position, scored_by: Some(Engine::Postgres), view: None } }
    }

    #[test]
    fn a_written_cursor_can_be_read() {
        let signer = Signer::new(b"secret");
        assert_eq!(signer.read(&signer.write(&cursor()).unwrap()), Some(cursor()));
    }

    #[test]
    fn a_cursor_with_any_changed_byte_is_refused() {
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
    fn every_parameter_changes_the_filter_hash() {
        let signer = Signer::new(b"secret");
        let hash = |name: &str, value: &str| signer.filter_hash(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(hash("a", "b"), hash("a", "b"));
        assert_ne!(hash("ab", ""), hash("a", "b"));
    }
}
