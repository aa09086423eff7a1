//! What errors of Postgres mean for a client.

use super::{Error, Result};

pub(super) fn unavailable_database() -> Error {
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
