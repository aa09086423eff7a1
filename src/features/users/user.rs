//! A user as clients see it, and what requests can change of it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::api::{FieldValue, fields};
use crate::auth::{ROLES, Role};
use crate::error::{Error, Result, Violations};
use crate::search::{Field, FieldKind};
use crate::values::clock::milliseconds;
use crate::values::ids::UserId;
use crate::values::json::Object;
use crate::values::text::is_email;

const USERNAME: Field = Field::shown("username", FieldKind::Text).length(2, 100);
const EMAIL: Field = Field::shown("email", FieldKind::Text).length(3, 254);
const NAME: Field = Field::shown("name", FieldKind::Text).length(1, 200);
const ROLE: Field = Field::shown("role", FieldKind::Keyword(&ROLES)).writable();

/// A user without the password.
#[derive(Clone, Debug, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    pub(super) id: Uuid,
    pub(super) version: i64,
    pub(super) username: String,
    pub(super) email: Option<String>,
    /// As it is displayed.
    pub(super) name: Option<String>,
    pub(super) role: Role,
    /// Whether the user can sign in.
    pub(super) is_active: bool,
    #[serde(serialize_with = "milliseconds")]
    pub(super) disabled_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "milliseconds")]
    pub(super) created_at: DateTime<Utc>,
    #[serde(serialize_with = "milliseconds")]
    pub(super) updated_at: DateTime<Utc>,
    /// None for one who registered, or was made by an operator.
    pub(super) created_by: Option<Uuid>,
    pub(super) updated_by: Option<Uuid>,
}

impl User {
    /// Reads a new one. What it leaves of the request is for the caller.
    pub(super) fn read_new(body: &mut Object, violations: &mut Violations) -> Self {
        let mut user = Self { id: UserId::new().0, is_active: true, ..Self::default() };
        if !body.contains_key(USERNAME.name) {
            violations.add("/username", "required", "is missing");
        }
        user.apply_names(body, violations);
        user
    }

    /// Applies what users can change of themselves, and takes it out of the request: the display name and the e-mail address.
    pub(super) fn apply_own(&mut self, body: &mut Object, violations: &mut Violations) {
        let members: [(_, &mut dyn FieldValue); 2] = [(EMAIL, &mut self.email), (NAME, &mut self.name)];
        for (field, member) in members {
            if let Some(value) = body.remove(field.name) {
                member.set(value, &field, violations);
            }
        }
        if self.email.as_deref().is_some_and(|email| !is_email(email)) {
            violations.add("/email", "not_a_contact", "is no e-mail address");
        }
    }

    /// Applies what says who the user is, and takes it out of the request.
    pub(super) fn apply_names(&mut self, body: &mut Object, violations: &mut Violations) {
        self.apply_own(body, violations);
        if let Some(value) = body.remove(USERNAME.name) {
            self.username.set(value, &USERNAME, violations);
        }
        // Users sign in by either; the address of one must not be the name of another.
        let is_own_address = self.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(&self.username));
        if self.username.contains('@') && !is_own_address {
            violations.add("/username", "not_acceptable", "a user name with @ must be the user's own e-mail address");
        }
    }

    /// Applies the role, and takes it out of the request.
    pub(super) fn apply_role(&mut self, body: &mut Object, violations: &mut Violations) {
        if let Some(value) = body.remove(ROLE.name) {
            self.role.set(value, &ROLE, violations);
        }
    }

    /// Applies the members of a request that supervisors can change, and takes them out of it.
    pub(super) fn apply(&mut self, body: &mut Object, now: DateTime<Utc>, violations: &mut Violations) {
        self.apply_names(body, violations);
        self.apply_role(body, violations);
        if let Some(is_active) = fields::take::<bool>(body, "isActive", violations).value() {
            self.set_active(is_active, now);
        }
    }

    /// Enables the user, or disables one who is not disabled yet.
    pub(super) fn set_active(&mut self, is_active: bool, now: DateTime<Utc>) {
        self.is_active = is_active;
        self.disabled_at = if is_active { None } else { self.disabled_at.or(Some(now)) };
    }

    /// What a password must not be.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        [Some(self.username.as_str()), self.email.as_deref()].into_iter().flatten()
    }

    /// The user as a request that changes it may repeat it.
    pub(super) fn shown(&self) -> Result<Object> {
        let json = serde_json::to_string(self).map_err(Error::internal)?;
        serde_json::from_str(&json).map_err(Error::internal)
    }

    /// The columns that a change writes.
    pub(super) fn columns(&self) -> Object {
        let disabled_at = self.disabled_at.map(|at| at.to_rfc3339());
        Object::from([
            ("username".to_owned(), self.username.clone().into()),
            ("email".to_owned(), self.email.clone().into()),
            ("name".to_owned(), self.name.clone().into()),
            ("role".to_owned(), self.role.as_str().into()),
            ("disabled_at".to_owned(), disabled_at.into()),
        ])
    }
}
