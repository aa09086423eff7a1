//! What differs when many customers are changed by one request.

use super::customer::Customer;
use super::rules;
use crate::api::{Context, fields};
use crate::error::{Result, Violations};
use crate::features::resource::{Bulk, Patch};
use crate::values::json::Object;

impl Bulk for Customer {
    const JOB: &'static str = "change_customers";

    fn check(mut changes: Object, context: &Context<'_>, violations: &mut Violations) {
        // Their entries depend on those that are there.
        changes.retain(|name, _| !matches!(name.as_str(), "contactPoints" | "addresses"));
        let mut customer = Self { name: "A".into(), given_name: Some("A".into()), ..Self::new() };
        customer.apply(&mut changes, context, violations);
        fields::refuse_rest::<Self>(&changes, context.is_strict, violations);
    }

    fn changed_row(before: &Self, patch: Patch, context: &Context<'_>) -> Result<Option<Self>> {
        let after = rules::changed(before, patch, context)?;
        let is_plain = after.external_id == before.external_id
            && after.contact_points == before.contact_points
            && after.addresses == before.addresses;
        Ok(is_plain.then_some(after))
    }
}
