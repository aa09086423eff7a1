//! The error of the request path. Its variants say what a client can do.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One violated rule of a request, and where.
#[derive(Clone, Debug, PartialEq, schemars::JsonSchema, Serialize)]
pub struct Violation {
    /// JSON pointer (RFC 6901) into the body, or the name of a query parameter or header.
    pub pointer: String,
    /// A stable word for programs.
    pub code: Cow<'static, str>,
    /// A sentence for people, without personal data.
    pub message: String,
}

impl Violation {
    fn within(self, pointer: &str) -> Self {
        Self { pointer: format!("{pointer}{}", self.pointer), ..self }
    }
}

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
            Self::Forbidden(_) | Self::SessionRequired => 403,
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
            Self::Malformed { violations, .. } | Self::Invalid(violations) => violations.untold,
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

fn summary(violations: &Violations) -> String {
    match &violations[..] {
        [violation] => format!("{} {}", violation.pointer, violation.message).trim().to_owned(),
        told => format!("{} values are invalid", told.len() + violations.untold),
    }
}

fn unavailable_database() -> Error {
    Error::busy("database_unavailable", "the database is not available")
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            _ if is_away(&error) => unavailable_database(),
            sqlx::Error::Database(cause) => match cause.code().as_deref() {
                Some("57014") => Self::Timeout,
                Some("40001" | "40P01" | "55P03") => Self::contended(),
                Some("22021" | "22P05") => {
                    Self::invalid("", "unstorable_text", "text holds a character that cannot be stored (NUL)")
                }
                Some("22003") => Self::invalid("", "out_of_range", "a number is out of range"),
                _ => Self::internal(error),
            },
            _ => Self::internal(error),
        }
    }
}

/// Whether Postgres cannot be reached, is starting or stopping, or is out of connections, memory or disk, which passes.
#[must_use]
pub fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(cause) => {
            cause.code().is_some_and(|code| ["08", "53", "57P"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}

/// Maps violations of named constraints to errors for the client.
pub trait OnConstraint<T> {
    /// Every other outcome passes unchanged.
    fn on_constraint(self, constraint: &str, error: impl FnOnce() -> Error) -> Result<T, Error>;
}

impl<T> OnConstraint<T> for Result<T, sqlx::Error> {
    fn on_constraint(self, constraint: &str, error: impl FnOnce() -> Error) -> Result<T, Error> {
        self.map_err(|cause| match cause.as_database_error().and_then(|cause| cause.constraint()) {
            Some(violated) if violated == constraint => error(),
            _ => cause.into(),
        })
    }
}

impl<T> OnConstraint<T> for Result<T, Error> {
    fn on_constraint(self, constraint: &str, error: impl FnOnce() -> Error) -> Result<T, Error> {
        self.map_err(|cause| {
            let violated = match &cause {
                Error::Internal(source) => source
                    .downcast_ref::<sqlx::Error>()
                    .and_then(|cause| cause.as_database_error())
                    .and_then(|cause| cause.constraint()),
                _ => None,
            };
            if violated == Some(constraint) { error() } else { cause }
        })
    }
}

/// Most violations that one answer lists: a client learns nothing from more, and a hostile one would make the server write megabytes.
const MOST_VIOLATIONS: usize = 100;

/// Collects violations, so that a client learns of all at once; beyond a hundred they are only counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Violations {
    told: Vec<Violation>,
    untold: usize,
}

impl Violations {
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, message: impl Into<String>) {
        if self.told.len() < MOST_VIOLATIONS {
            self.told.push(Violation { pointer: pointer.into(), code: code.into(), message: message.into() });
        } else {
            self.untold += 1;
        }
    }

    /// Checks a length in characters, bounds included.
    pub fn length(&mut self, pointer: &str, value: Option<&str>, min: usize, max: usize) {
        let Some(value) = value else { return };
        let length = value.chars().count();
        if length < min {
            self.add(pointer, "too_short", format!("needs at least {min} characters"));
        } else if length > max {
            self.add(pointer, "too_long", format!("takes at most {max} characters"));
        }
        if value.contains('\0') {
            self.add(pointer, "unstorable_text", "text must not contain NUL");
        }
    }

    /// Adds the violations of a member of the request.
    pub fn nest(&mut self, pointer: &str, part: Self) {
        self.extend(part.within(pointer));
    }

    /// Adds the violations of a member that the client wrote as one value.
    pub fn flatten(&mut self, pointer: &str, mut part: Self) {
        part.told.iter_mut().for_each(|violation| pointer.clone_into(&mut violation.pointer));
        self.extend(part);
    }

    /// Adds the violations of an error.
    pub fn join(&mut self, error: Error) {
        match error {
            Error::Malformed { violations, .. } | Error::Invalid(violations) => self.extend(violations),
            Error::Duplicate(violation) => self.extend(violation.into()),
            Error::Forbidden(permission) => self.add("", "forbidden", format!("needs the permission {permission}")),
            _ => {}
        }
    }

    fn extend(&mut self, more: Self) {
        let room = MOST_VIOLATIONS - self.told.len();
        self.untold += more.untold + more.told.len().saturating_sub(room);
        self.told.extend(more.told.into_iter().take(room));
    }

    fn within(mut self, pointer: &str) -> Self {
        self.told = self.told.into_iter().map(|violation| violation.within(pointer)).collect();
        self
    }

    /// How many were added beyond the most that are told.
    #[must_use]
    pub fn untold(&self) -> usize {
        self.untold
    }

    pub fn take(&mut self) -> Vec<Violation> {
        std::mem::take(self).told
    }

    /// Fails with [`Error::Invalid`] if there are violations.
    pub fn check(self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(Error::Invalid(self)) }
    }
}

impl From<Violation> for Violations {
    fn from(violation: Violation) -> Self {
        Self { told: vec![violation], untold: 0 }
    }
}

impl std::ops::Deref for Violations {
    type Target = [Violation];

    fn deref(&self) -> &[Violation] {
        &self.told
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
