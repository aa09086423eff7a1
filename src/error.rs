//! The one error of the request path: its variants say what a client can do about it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

/// What the request path returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One thing that is wrong with a request, and where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the body, or the name of a query parameter or header.
    pub pointer: String,
    /// Stable word for programs.
    pub code: Cow<'static, str>,
    /// Sentence for people. Never repeats personal data.
    pub message: String,
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be read: broken syntax, unknown parameter, a limit that does not exist.
    #[error("{detail}")]
    Malformed {
        /// Stable word for programs.
        code: &'static str,
        /// What is wrong.
        detail: String,
        /// Where, if there is a place.
        faults: Vec<Fault>,
    },
    /// The request can be read, and its values break rules.
    #[error("{}", summary(.0))]
    Invalid(Vec<Fault>),
    /// Nobody is signed in, or the credentials do not hold.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The caller may not do this.
    #[error("this needs the permission {0}")]
    Forbidden(&'static str),
    /// There is no such thing, or the caller may not know of it.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The address exists and does not take this method.
    #[error("this address takes {allow}")]
    MethodNotAllowed {
        /// The `Allow` header.
        allow: String,
    },
    /// The request contradicts the state of things.
    #[error("{detail}")]
    Conflict {
        /// Stable word for programs.
        code: &'static str,
        /// What contradicts what.
        detail: String,
        /// Further members of the problem.
        more: Object,
    },
    /// Another record already has a value that only one may have.
    #[error("{}", .0.message)]
    Duplicate(Fault),
    /// A request with the same idempotency key is still under way.
    #[error("a request with this idempotency key is still under way")]
    InProgress,
    /// The idempotency key was used for another request before.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// Somebody else changed the row since the caller read it.
    #[error("the record has version {current} now")]
    Stale {
        /// The version that an `If-Match` would have to name.
        current: i64,
    },
    /// A write without the `If-Match` that the settings ask for.
    #[error("this write needs an If-Match header")]
    PreconditionRequired,
    /// The body is larger than the limit.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// The body is of a type that this address does not read.
    #[error("this address reads {0}")]
    UnsupportedMediaType(&'static str),
    /// The same write is under way, or the server is full: later it may work.
    #[error("{detail}")]
    Unavailable {
        /// Stable word for programs.
        code: &'static str,
        /// What is not available.
        detail: String,
        /// Seconds after which trying again makes sense.
        retry_after: u64,
    },
    /// The work took longer than its deadline.
    #[error("the request took too long")]
    Timeout,
    /// A fault of ours. The cause goes to the log and never to the client.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A request that cannot be read, without a single place to blame.
    pub fn malformed(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Malformed { code, detail: detail.into(), faults: Vec::new() }
    }

    /// A request that contradicts the state of things.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into(), more: Object::new() }
    }

    /// One unacceptable value.
    pub fn invalid(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault { pointer: pointer.into(), code: code.into(), message: message.into() }])
    }

    /// A value that another record already has.
    pub fn duplicate(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Duplicate(Fault { pointer: pointer.into(), code: "duplicate".into(), message: message.into() })
    }

    /// A fault of ours.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// The HTTP status (RFC 9110).
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed { .. } => 400,
            Self::Unauthenticated(_) => 401,
            Self::Forbidden(_) => 403,
            Self::NotFound(_) => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::BodyTimeout => 408,
            Self::Conflict { .. } | Self::Duplicate(_) | Self::InProgress => 409,
            Self::Stale { .. } => 412,
            Self::TooLarge { .. } => 413,
            Self::UnsupportedMediaType(_) => 415,
            Self::Invalid(_) | Self::KeyReused => 422,
            Self::PreconditionRequired => 428,
            Self::Internal(_) => 500,
            Self::Unavailable { .. } => 503,
            Self::Timeout => 504,
        }
    }

    /// The stable word for programs; `docs/errors.md` lists them all.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { code, .. } | Self::Conflict { code, .. } | Self::Unavailable { code, .. } => code,
            Self::Invalid(_) => "invalid",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Duplicate(_) => "duplicate",
            Self::InProgress => "idempotency_in_progress",
            Self::KeyReused => "idempotency_key_reused",
            Self::Stale { .. } => "stale",
            Self::PreconditionRequired => "precondition_required",
            Self::TooLarge { .. } => "too_large",
            Self::BodyTimeout => "body_timeout",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::Timeout => "timeout",
            Self::Internal(_) => "internal",
        }
    }

    /// The same error of a part of the request.
    #[must_use]
    pub fn within(self, pointer: &str) -> Self {
        let nest = |fault: Fault| Fault { pointer: format!("{pointer}{}", fault.pointer), ..fault };
        match self {
            Self::Invalid(faults) => Self::Invalid(faults.into_iter().map(nest).collect()),
            Self::Duplicate(fault) => Self::Duplicate(nest(fault)),
            other => other,
        }
    }

    /// What exactly is wrong, and where.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        match self {
            Self::Malformed { faults, .. } | Self::Invalid(faults) => faults,
            Self::Duplicate(fault) => std::slice::from_ref(fault),
            _ => &[],
        }
    }

    /// Seconds after which the same request may work.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Unavailable { retry_after, .. } => Some(*retry_after),
            Self::InProgress => Some(1),
            _ => None,
        }
    }
}

/// One fault says more than that there is one.
fn summary(faults: &[Fault]) -> String {
    match faults {
        [fault] => format!("{} {}", fault.pointer, fault.message).trim().to_owned(),
        faults => format!("{} values are not acceptable", faults.len()),
    }
}

/// What a lost or busy database looks like to a client: it may try again.
fn unavailable_database() -> Error {
    Error::Unavailable { code: "database_unavailable", detail: "the database is not available".into(), retry_after: 1 }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::PoolClosed => unavailable_database(),
            sqlx::Error::Database(cause) => match cause.code().as_deref() {
                // The server is starting, stopping or lost the connection (classes 08 and 57P).
                Some(code) if code.starts_with("08") || code.starts_with("57P") => unavailable_database(),
                Some("57014") => Self::Timeout,
                Some("40001" | "40P01" | "55P03") => {
                    Self::Unavailable { code: "contended", detail: "another write holds the record".into(), retry_after: 1 }
                }
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

/// Turns violations of named constraints into errors that a client can act on.
pub trait OnConstraint<T> {
    /// Maps a violation of `constraint`; every other outcome passes unchanged.
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

/// Gathers faults, so that a client learns of all of them at once.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault.
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.0.push(Fault { pointer: pointer.into(), code: code.into(), message: message.into() });
    }

    /// Checks a text's length in characters, both bounds included.
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

    /// Adds the faults of a part of the request.
    pub fn nest(&mut self, pointer: &str, part: Self) {
        self.0.extend(part.0.into_iter().map(|fault| Fault { pointer: format!("{pointer}{}", fault.pointer), ..fault }));
    }

    /// Adds the faults of a part of the request that the client wrote as one value.
    pub fn blame(&mut self, pointer: &str, part: Self) {
        self.0.extend(part.0.into_iter().map(|fault| Fault { pointer: pointer.into(), ..fault }));
    }

    /// Adds the faults of an error.
    pub fn join(&mut self, error: Error) {
        self.0.extend_from_slice(error.faults());
    }

    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands out the faults, leaving none.
    pub fn take(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.0)
    }

    /// Succeeds if there are no faults.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all of them.
    pub fn check(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

/// An object of free values, as `metadata` and `custom` are.
pub type Object = serde_json::Map<String, Value>;
