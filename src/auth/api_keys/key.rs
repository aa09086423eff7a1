//! The text of an API key: `col_<id>_<secret>`.

use sha2::{Digest, Sha256};
use uuid::Uuid;
use uuid::fmt::Simple;

use crate::values::ids::{self, ApiKeyId};

/// With which every key begins, so that scanners find one that was published by mistake.
pub(in crate::auth) const PREFIX: &str = "col_";

/// A key as its holder has it.
pub(in crate::auth) struct ApiKey {
    pub(in crate::auth) id: ApiKeyId,
    secret: String,
}

impl ApiKey {
    /// Makes one with a random secret.
    pub(super) fn random() -> Self {
        Self { id: ApiKeyId::new(), secret: ids::secret() }
    }

    /// Reads what a client sent.
    pub(in crate::auth) fn read(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let id = id.parse::<Simple>().ok().filter(|known| known.to_string() == id)?;
        Some(Self { id: ApiKeyId(id.into_uuid()), secret: secret.to_owned() })
    }

    /// The beginning, which tells keys apart and is no secret.
    pub(super) fn beginning(id: Uuid) -> String {
        format!("{PREFIX}{}", id.simple())
    }

    /// What a client gets, once.
    pub(super) fn encode(&self) -> String {
        format!("{}_{}", Self::beginning(self.id.0), self.secret)
    }

    /// What is stored.
    pub(in crate::auth) fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.secret).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let key = ApiKey::random();
        let text = key.encode();
        let read = ApiKey::read(&text).unwrap();
        assert_eq!((read.id, read.hash()), (key.id, key.hash()));
        assert_eq!(text.len(), PREFIX.len() + 32 + 1 + 24);
        let upper = format!("{PREFIX}{}_x", key.id.0.simple().to_string().to_uppercase().replace(char::is_numeric, "A"));
        for other in ["", "col_", "col__", "col_x_y", &text[4..], &text.replace("col_", "COL_"), &text[..36], &upper] {
            assert!(ApiKey::read(other).is_none(), "{other}");
        }
        assert_ne!(ApiKey::read(&format!("{text}x")).unwrap().hash(), key.hash());
    }
}
