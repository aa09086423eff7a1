//! What requests say of users, for the API's documentation.

use schemars::JsonSchema;
use serde_json::json;

use crate::auth::Role;
use crate::operation::{Effect, Operation, Takes};

/// The parameters of the list.
pub(super) struct Listing;

impl Takes for Listing {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
        let text = json!({ "type": "string" });
        operation.query("q", "Words that the user name, the name or the e-mail address contains.", text);
        let roles = json!({ "type": "array", "items": { "type": "string", "enum": Role::ALL.map(Role::as_str) } });
        operation.query("role", "Users of one of these roles.", roles);
        operation.query("disabled", "Only disabled users, or only others.", json!({ "type": "boolean" }));
    }
}

/// A new user.
pub(super) struct NewUser;

impl Takes for NewUser {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Adds;
        operation.takes::<New>();
    }
}

#[derive(JsonSchema)]
#[schemars(rename = "NewUser", rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("examples" = [{ "username": "maria", "password": "a purple bicycle", "role": "agent", "name": "Maria Lopez" }]))]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
struct New {
    #[schemars(length(min = 2, max = 100))]
    username: String,
    /// Of 8 characters to 1,024 bytes, none of the most common ones, and not the user name.
    #[schemars(length(min = 8, max = 1024))]
    password: String,
    #[schemars(length(min = 3, max = 254))]
    email: Option<String>,
    /// As it is displayed.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    role: Option<Role>,
}

/// Changes of a user. What the server sets can be repeated.
#[derive(JsonSchema)]
#[schemars(rename = "UserChanges", rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
pub(super) struct Changes {
    #[schemars(length(min = 2, max = 100), default)]
    username: String,
    #[schemars(length(min = 3, max = 254))]
    email: Option<String>,
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    role: Option<Role>,
    /// Whether the user can sign in.
    #[schemars(default)]
    is_active: bool,
}

/// A new password; without one the user is mailed a token to choose it.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it is a schema; the member is taken out of the request")]
pub(super) struct NewPassword {
    #[schemars(length(min = 8, max = 1024), default)]
    password: String,
}

/// A new invitation.
pub(super) struct NewInvitation;

impl Takes for NewInvitation {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Adds;
        operation.takes::<Invite>();
    }
}

#[derive(JsonSchema)]
#[schemars(rename = "NewInvitation", rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
struct Invite {
    #[schemars(length(min = 3, max = 254))]
    email: String,
    role: Option<Role>,
}

/// A registration.
pub(super) struct Registration;

impl Takes for Registration {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Adds;
        operation.takes::<Register>();
    }
}

#[derive(JsonSchema)]
#[schemars(rename = "Registration", rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
struct Register {
    #[schemars(length(min = 2, max = 100))]
    username: String,
    #[schemars(length(min = 8, max = 1024))]
    password: String,
    /// That of the invitation, if there is one.
    #[schemars(length(min = 3, max = 254))]
    email: Option<String>,
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// The token that was mailed.
    invitation: Option<String>,
    /// Counts only if an admin sends it.
    role: Option<Role>,
}

/// Changes of the caller's own user. What the server sets can be repeated.
#[derive(JsonSchema)]
#[schemars(rename = "ProfileChanges", rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
pub(super) struct ProfileChanges {
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    #[schemars(length(min = 3, max = 254))]
    email: Option<String>,
    /// Needed for another e-mail address.
    current_password: Option<String>,
}

/// What a role may do from now on.
#[derive(JsonSchema)]
#[schemars(rename = "RolePermissions", rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it is a schema; the member is taken out of the request")]
pub(super) struct RolePermissions {
    permissions: Vec<String>,
}
