//! Refresh tokens: random values, each used once.
//!
//! Only the hash of a token is stored. The answer that carries a successor may be lost, so the same request again has to get the same
//! successor, which is therefore not random but computed from the token: HMAC-SHA256 under a key that only the servers have. It is
//! as unpredictable as a random one to all who lack that key, even with an earlier token and a copy of the database, and nothing
//! else has to be stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use sha2::{Digest, Sha256};

use crate::values::keyed::derived;

/// 32 bytes; on the wire 43 letters, digits, `-` and `_`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) struct RefreshToken([u8; 32]);

impl RefreshToken {
    /// Makes the first one of a session.
    pub(in crate::auth) fn random() -> Self {
        Self(rand::random())
    }

    /// Reads what a client sent.
    pub(in crate::auth) fn read(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// What a client gets.
    pub(in crate::auth) fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What is stored.
    pub(in crate::auth) fn hash(self) -> Vec<u8> {
        Sha256::digest(self.0).to_vec()
    }

    /// The token that follows this one, by the secret of the servers.
    pub(in crate::auth) fn successor(self, secret: &[u8]) -> Self {
        Self(derived(secret, "refresh token").chain_update(self.0).finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = RefreshToken::random();
        let text = token.encode();
        assert_eq!(text.len(), 43);
        assert!(RefreshToken::read(&text) == Some(token));
        for other in ["", "x", &text[..42], &format!("{text}A"), &format!("{text}="), &"_".repeat(43), &"+".repeat(43)] {
            assert!(RefreshToken::read(other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_successor_follows_from_token_and_secret() {
        let token = RefreshToken::random();
        assert!(token.successor(b"one") == token.successor(b"one"));
        assert!(token.successor(b"one") != token.successor(b"two"));
        assert!(token.successor(b"one") != RefreshToken::random().successor(b"one"));
        assert_ne!(token.successor(b"one").hash(), token.hash());
    }
}
