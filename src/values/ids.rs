//! Typed identifiers, so that an account's id never stands where a customer's is meant.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Makes a new time-ordered identifier (UUID version 7, RFC 9562), so that inserts land near the end of every index.
#[expect(clippy::disallowed_methods, reason = "the one place where identifiers are made")]
#[must_use]
pub fn new() -> Uuid {
    Uuid::now_v7()
}

/// Makes a secret that cannot be guessed, 24 characters of letters, digits, `-` and `_`.
#[must_use]
pub fn secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>())
}

/// Declares an identifier type: a UUID on the wire, in SQL and in paths.
macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, sqlx::Type,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes a new time-ordered identifier.
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
                if text.len() == 36 { text.parse().map(Self) } else { Uuid::parse_str("").map(Self) }
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

id! {
    /// A person or company that owes.
    CustomerId
}
id! {
    /// A phone number or e-mail address of a customer.
    ContactPointId
}
id! {
    /// A postal address of a customer.
    AddressId
}
id! {
    /// One debt.
    AccountId
}
id! {
    /// One movement of a balance.
    LedgerEntryId
}
id! {
    /// Money that came in, or is expected to.
    PaymentId
}
id! {
    /// Somebody who signs in.
    UserId
}
id! {
    /// One signed-in device.
    SessionId
}
