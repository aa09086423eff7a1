//! A change of an account or a customer, as the audit log has it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::Fields;
use crate::error::{Error, Result};
use crate::features::accounts::Account;
use crate::features::customers::Customer;
use crate::features::resource::Resource;
use crate::search::Field;
use crate::values::personal::MASK;

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "TimelineChange")]
pub(super) struct Change {
    /// `account` or `customer`.
    record: &'static str,
    /// `create`, `change` or `delete`.
    action: String,
    /// What was changed; nothing of a record that was created or deleted.
    fields: Vec<ChangedField>,
}

/// The values of a field before and after. The log keeps no personal data, so a mask stands for it.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "TimelineChangedField")]
struct ChangedField {
    field: &'static str,
    #[schemars(with = "serde_json::Value")]
    before: Box<RawValue>,
    #[schemars(with = "serde_json::Value")]
    after: Box<RawValue>,
}

impl Change {
    /// Reads an entry of the audit log: the table, what was done, and the columns.
    pub(super) fn read(table: &str, action: String, details: Option<&str>) -> Result<Self> {
        let (record, field): (_, fn(&str) -> Option<&'static Field>) =
            if table == "customers" { (Customer::NAME, field::<Customer>) } else { (Account::NAME, field::<Account>) };
        let mut fields = Vec::new();
        if let Some(details) = details.filter(|_| action == "change") {
            let columns: BTreeMap<String, [Box<RawValue>; 2]> = serde_json::from_str(details).map_err(Error::internal)?;
            for (column, [before, after]) in columns {
                let Some(field) = field(&column) else { continue };
                let shown = |value| if field.personal.is_some() { mask(value) } else { Ok(value) };
                fields.push(ChangedField { field: field.name, before: shown(before)?, after: shown(after)? });
            }
        }
        Ok(Self { record, action, fields })
    }
}

fn field<R: Fields>(column: &str) -> Option<&'static Field> {
    R::MEMBERS.iter().find(|member| member.column == column).map(|member| &member.field)
}

/// What was absent stays so.
fn mask(value: Box<RawValue>) -> Result<Box<RawValue>> {
    if value.get() == "null" { Ok(value) } else { RawValue::from_string(format!("\"{MASK}\"")).map_err(Error::internal) }
}
