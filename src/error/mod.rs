//! The error of the request path. Its variants say what a client can do.

mod database;
mod violations;

use std::borrow::Cow;

use serde_json::Value;

pub use database::{OnConstraint, is_away};
pub use violations::{Violation, Violations};

use violations::summary;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be read: broken syntax, unknown parameter, limit out of range.
    #[error("{detail}")]
    Malformed { code: &'static str, detail: String, violations: Violations },
    /// The request can be read, but its values break rules.
    #[error("{}", summary(.0))]
    Invalid(Violations),
    /// No credentials, or invalid ones.
    #[error("{0}")]
    Unauthenticated(&'static str),
    #[error("this needs the permission {0}")]
    Forbidden(&'static str),
    /// A web page of an origin that `CORS_ORIGIN` does not name.
    #[error("pages of this origin may not open sockets; CORS_ORIGIN names those that may")]
    ForeignOrigin,
    /// An API key was used for what only its owner does.
    #[error("this needs a signed-in user, not an API key")]
    SessionRequired,
    /// No such record, or the caller may not know of it.
    #[error("{0} not found")]
    NotFound(&'static str),
    #[error("this address does not accept this method")]
    MethodNotAllowed,
    /// The request contradicts the current state.
    #[error("{detail}")]
    Conflict {
        code: &'static str,
        detail: String,
        /// Further members of the problem details.
        more: Object,
    },
    /// Another record has a value that must be unique.
    #[error("{}", .0.message)]
    Duplicate(Violation),
    #[error("a request with this idempotency key is still in progress")]
    InProgress,
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// The record has changed since the caller read it (optimistic concurrency).
    #[error("the record has version {current} now")]
    Stale { current: i64 },
    /// `REQUIRE_IF_MATCH` is set.
    #[error("this write needs an If-Match header")]
    PreconditionRequired,
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// Too many wrong passwords for the account; `retry_after` is in seconds.
    #[error("too many wrong passwords; log-ins to this account are locked for a while")]
    Locked { retry_after: u64 },
    /// Too many requests by the policy of this name; `retry_after` is in seconds.
    #[error("too many requests; Retry-After says when to go on")]
    QuotaExceeded { policy: &'static str, retry_after: u64 },
    #[error("this address accepts {0}")]
    UnsupportedMediaType(&'static str),
    /// A transfer coding that this server does not read.
    #[error("a body may be sent with the transfer coding chunked, and no other")]
    UnknownTransferCoding,
    /// May succeed later; `retry_after` is in seconds.
    #[error("{detail}")]
    Unavailable { code: &'static str, detail: String, retry_after: u64 },
    #[error("the request took too long")]
    Timeout,
    /// An uploaded file does not fit on the disk.
    #[error("the server has no room for this file")]
    StorageFull,
    /// A failure of the server. The cause is logged and never sent to the client.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    pub fn malformed(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Malformed { code, detail: detail.into(), violations: Violations::default() }
    }

    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into(), more: Object::new() }
    }

    pub fn invalid(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        let violation = Violation { pointer: pointer.into(), code: code.into(), message: message.into() };
        Self::Invalid(violation.into())
    }

    /// The server is at one of its limits; the same request may succeed a second later.
    pub fn busy(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Unavailable { code, detail: detail.into(), retry_after: 1 }
    }

    /// Another write has locked the record for too long.
    #[must_use]
    pub fn contended() -> Self {
        Self::busy("contended", "another write has locked the record")
    }

    pub fn duplicate(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Duplicate(Violation { pointer: pointer.into(), code: "duplicate".into(), message: message.into() })
    }

    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed { .. } => 400,
            Self::Unauthenticated(_) => 401,
            Self::Forbidden(_) | Self::ForeignOrigin | Self::SessionRequired => 403,
            Self::NotFound(_) => 404,
            Self::MethodNotAllowed => 405,
            Self::BodyTimeout => 408,
            Self::Conflict { .. } | Self::Duplicate(_) | Self::InProgress => 409,
            Self::Stale { .. } => 412,
            Self::TooLarge { .. } => 413,
            Self::UnsupportedMediaType(_) => 415,
            Self::Invalid(_) | Self::KeyReused => 422,
            Self::Locked { .. } => 423,
            Self::PreconditionRequired => 428,
            Self::QuotaExceeded { .. } => 429,
            Self::Internal(_) => 500,
            Self::UnknownTransferCoding => 501,
            Self::Unavailable { .. } => 503,
            Self::Timeout => 504,
            Self::StorageFull => 507,
        }
    }

    /// A stable word for programs; `docs/errors.md` lists all.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { code, .. } | Self::Conflict { code, .. } | Self::Unavailable { code, .. } => code,
            Self::Invalid(_) => "invalid",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::ForeignOrigin => "foreign_origin",
            Self::SessionRequired => "session_required",
            Self::NotFound(_) => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Duplicate(_) => "duplicate",
            Self::InProgress => "idempotency_in_progress",
            Self::KeyReused => "idempotency_key_reused",
            Self::Stale { .. } => "stale",
            Self::PreconditionRequired => "precondition_required",
            Self::TooLarge { .. } => "too_large",
            Self::BodyTimeout => "body_timeout",
            Self::Locked { .. } => "locked",
            Self::QuotaExceeded { .. } => "quota_exceeded",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::UnknownTransferCoding => "unknown_transfer_coding",
            Self::Timeout => "timeout",
            Self::StorageFull => "storage_full",
            Self::Internal(_) => "internal",
        }
    }

    /// Puts the pointers under a member of the request.
    #[must_use]
    pub fn within(self, pointer: &str) -> Self {
        match self {
            Self::Invalid(violations) => Self::Invalid(violations.within(pointer)),
            Self::Duplicate(violation) => Self::Duplicate(violation.within(pointer)),
            other => other,
        }
    }

    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        match self {
            Self::Malformed { violations, .. } | Self::Invalid(violations) => violations,
            Self::Duplicate(violation) => std::slice::from_ref(violation),
            _ => &[],
        }
    }

    /// How many more violations there are than [`Self::violations`] tells.
    #[must_use]
    pub fn untold(&self) -> usize {
        match self {
            Self::Malformed { violations, .. } | Self::Invalid(violations) => violations.untold(),
            _ => 0,
        }
    }

    /// In seconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Unavailable { retry_after, .. } | Self::Locked { retry_after } | Self::QuotaExceeded { retry_after, .. } => {
                Some(*retry_after)
            }
            Self::InProgress => Some(1),
            _ => None,
        }
    }
}

/// Most characters that an answer or a log line repeats of a path, parameter or member that a client named.
const MOST_REPEATED: usize = 64;

/// Cuts a name that a client chose down to what may be repeated of it.
#[must_use]
pub fn clipped(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(MOST_REPEATED) {
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
        None => Cow::Borrowed(name),
    }
}

/// Writes a member's name for a JSON pointer (RFC 6901); what is too long to be a name is cut.
#[must_use]
pub fn escaped(name: &str) -> String {
    clipped(name).replace('~', "~0").replace('/', "~1")
}

/// Further members of an answer that tells of an error.
pub type Object = serde_json::Map<String, Value>;
