//! The chain: how entries are hashed, linked and signed.

use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::values::keyed::derived;

/// Bytes of a SHA-256.
pub(super) const HASH: usize = 32;
/// Hexadecimal digits of a text's keyed hash: as many as the triggers keep.
const MASKED_DIGITS: usize = 16;

/// Keys derived from the server's secret, which the database does not know.
#[derive(Clone)]
pub struct Keys {
    signing: Hmac<Sha256>,
    /// Keys whose signatures hold, while secrets are rotated.
    accepted: Vec<Hmac<Sha256>>,
    masking: Hmac<Sha256>,
}

impl Keys {
    #[must_use]
    pub fn new<'a>(secret: &[u8], accepted: impl Iterator<Item = &'a [u8]>) -> Self {
        let signing = |secret: &[u8]| derived(secret, "audit head");
        Self { signing: signing(secret), accepted: accepted.map(signing).collect(), masking: derived(secret, "audit text") }
    }

    /// A keyed hash of a text: tells whether two texts are the same, and not which.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        format!("•{}", &hex(&self.masking.clone().chain_update(text).finalize().into_bytes())[..MASKED_DIGITS])
    }

    pub(super) fn sign(&self, hash: &[u8]) -> Vec<u8> {
        self.signing.clone().chain_update(hash).finalize().into_bytes().to_vec()
    }

    pub(super) fn signed(&self, hash: &[u8], signature: &[u8]) -> bool {
        let mut keys = std::iter::once(&self.signing).chain(&self.accepted);
        keys.any(|key| key.clone().chain_update(hash).verify_slice(signature).is_ok())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// The end of the chain: who keeps it elsewhere notices any later change of what is before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of its seal, from 1.
    pub number: i64,
    pub hash: Vec<u8>,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.number, hex(&self.hash))
    }
}

impl std::str::FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a head is a number, a colon and 64 hexadecimal digits, as `collections audit head` prints it";
        let (number, hash) = text.split_once(':').ok_or(FORM)?;
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let hash: Option<Vec<u8>> = hash.as_bytes().chunks(2).map(digits).collect();
        let hash = hash.filter(|hash| hash.len() == HASH).ok_or(FORM)?;
        Ok(Self { number: number.parse().map_err(|_| FORM)?, hash })
    }
}

/// An entry as it is stored.
pub(super) struct Stored {
    pub(super) id: i64,
    pub(super) xid: String,
    pub(super) at: DateTime<Utc>,
    pub(super) actor: Option<String>,
    pub(super) login: String,
    pub(super) request: Option<String>,
    pub(super) action: String,
    pub(super) kind: String,
    pub(super) subject: Option<String>,
    pub(super) details: Option<String>,
}

impl Stored {
    /// The SHA-256 of all but the id, which the seal lists: so two entries that were swapped can be told.
    pub(super) fn digest(&self) -> Vec<u8> {
        let Self { id: _, xid, at, actor, login, request, action, kind, subject, details } = self;
        let canonical = serde_json::json!([xid, at.timestamp_micros(), actor, login, request, action, kind, subject, details]);
        Sha256::digest(canonical.to_string()).to_vec()
    }
}

/// One link.
pub(super) struct Seal {
    pub(super) number: i64,
    pub(super) sealed_at: DateTime<Utc>,
    /// The last entry.
    pub(super) last_xid: String,
    pub(super) last_id: i64,
    pub(super) entries: Vec<i64>,
    /// [`HASH`] bytes for each entry.
    pub(super) digests: Vec<u8>,
    pub(super) previous: Vec<u8>,
}

impl Seal {
    pub(super) fn hash(&self) -> Vec<u8> {
        let Self { number, sealed_at, last_xid, last_id, entries, digests, previous } = self;
        let canonical = serde_json::json!([number, sealed_at.timestamp_millis(), last_xid, last_id, entries]);
        Sha256::new().chain_update(previous).chain_update(canonical.to_string()).chain_update(digests).finalize().to_vec()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let head = Head { number: 17, hash: Sha256::digest("a").to_vec() };
        assert_eq!(head.to_string().parse(), Ok(head));
        for wrong in ["", "17", "17:", "17:abcd", "x:00", &format!("1:{}", "é".repeat(32)), &format!("1:{}", "g".repeat(64))] {
            assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_member_of_an_entry_is_hashed() {
        let entry = || Stored {
            id: 1,
            xid: "7".into(),
            at: DateTime::UNIX_EPOCH,
            actor: None,
            login: "server".into(),
            request: Some("r".into()),
            action: "read".into(),
            kind: "customers".into(),
            subject: None,
            details: None,
        };
        let others = [
            Stored { xid: "8".into(), ..entry() },
            Stored { at: DateTime::UNIX_EPOCH + chrono::TimeDelta::microseconds(1), ..entry() },
            Stored { actor: Some("a".into()), ..entry() },
            Stored { login: "postgres".into(), ..entry() },
            Stored { request: None, ..entry() },
            Stored { action: "search".into(), ..entry() },
            Stored { kind: "payments".into(), ..entry() },
            Stored { subject: Some("s".into()), ..entry() },
            Stored { details: Some("null".into()), ..entry() },
        ];
        let mut digests: Vec<_> = others.iter().map(Stored::digest).chain([entry().digest()]).collect();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 10);
        assert_eq!(Stored { id: 2, ..entry() }.digest(), entry().digest());
    }

    #[test]
    fn only_the_key_signs() {
        let (keys, hash) = (Keys::new(b"secret", std::iter::empty()), Sha256::digest("a"));
        let signature = keys.sign(&hash);
        assert!(keys.signed(&hash, &signature));
        assert!(!Keys::new(b"another", std::iter::empty()).signed(&hash, &signature));
        assert!(Keys::new(b"another", [b"secret".as_slice()].into_iter()).signed(&hash, &signature), "while secrets are rotated");
        assert!(!keys.signed(&Sha256::digest("b"), &signature));
        assert_ne!(keys.mask("jane"), keys.mask("john"));
        assert!(!keys.mask("jane").contains("jane"));
    }
}
