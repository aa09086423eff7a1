//! The violated rules of a request.

use std::borrow::Cow;

use serde::Serialize;

use super::{Error, Result};

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
    pub(super) fn within(self, pointer: &str) -> Self {
        Self { pointer: format!("{pointer}{}", self.pointer), ..self }
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

    pub(super) fn within(mut self, pointer: &str) -> Self {
        self.told = self.told.into_iter().map(|violation| violation.within(pointer)).collect();
        self
    }

    /// The number of violations beyond the limit.
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

pub(super) fn summary(violations: &Violations) -> String {
    match &violations[..] {
        [violation] => format!("{} {}", violation.pointer, violation.message).trim().to_owned(),
        told => format!("{} values are invalid", told.len() + violations.untold),
    }
}
