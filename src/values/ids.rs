//! Typed identifiers, so that an account's id cannot be used as a customer's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Creates a time-ordered identifier (UUID version 7, RFC 9562), so that inserts land near the end of every index.
#[expect(clippy::disallowed_methods, reason = "the one place where identifiers are made")]
#[must_use]
pub fn new() -> Uuid {
    Uuid::now_v7()
}

/// Creates a random secret of 24 letters, digits, `-` and `_`.
#[must_use]
pub fn secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>())
}

/// Declares an identifier type: a UUID on the wire, in SQL and in paths.
macro_rules! id {
    ($name:ident) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            #[expect(clippy::new_without_default, reason = "an identifier has no default; each is a new one")]
            #[must_use]
            pub fn new() -> Self {
                Self(new())
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                // Only the hyphenated form, so that one record has one address.
                uuid::fmt::Hyphenated::from_str(text).map(|id| Self(id.into_uuid()))
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(CustomerId);
id!(ContactPointId);
id!(AddressId);
id!(AccountId);
id!(LedgerEntryId);
id!(PaymentId);
id!(ActivityId);
id!(UserId);
id!(SessionId);
id!(ApiKeyId);
id!(SavedSearchId);
id!(JobId);
id!(ImportId);
id!(FileId);
id!(ExportId);
