//! Records for callers who may not see personal data: revealed for a reason, and changed without storing a mask.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Resource, find, json_of, show};
use crate::api::{Reply, Request};
use crate::audit::Action;
use crate::auth::Caller;
use crate::error::{Error, Result, Violations};
use crate::operation::{Effect, Operation, Takes};
use crate::search::document;
use crate::search::masking::{is_personal, masked};
use crate::values::json::{Object, Value};
use crate::values::personal::{Disclosure, MASK};

/// Characters of the reason for which a record is revealed.
const REASON: (usize, usize) = (5, 500);

/// Says why a record is to be revealed.
pub struct Reason;

impl Takes for Reason {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Reads;
        operation.takes::<Given>();
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Reason", extend("examples" = [{ "reason": "The debtor called back" }]))]
struct Given {
    /// For the audit log, without personal data.
    #[schemars(length(min = REASON.0, max = REASON.1))]
    reason: String,
}

/// Shows a record unmasked to a caller who gets it masked, and why is logged before.
pub async fn reveal<R: Resource>(id: R::Id, _caller: Caller, mut request: Request) -> Result<Reply> {
    let Given { reason } = request.json().await?;
    let mut violations = Violations::default();
    violations.length("/reason", Some(reason.trim()), REASON.0, REASON.1);
    violations.check()?;
    let id = id.into();
    let mut connection = request.app.db.read.acquire().await?;
    let record: R = find(&mut connection, id).await?;
    if record.locked().deleted_at.is_some() {
        return Err(Error::NotFound(R::NAME));
    }
    let details = serde_json::json!({ "reason": reason.trim() }).to_string();
    let entry = request.audit_entry(Action::Reveal, R::collection().name, Some(id), Some(details));
    request.app.audit.write(entry).await?;
    show(&mut connection, &record, &request, Disclosure::Full).await
}

/// Puts what is stored in the place of what a caller repeats of a masked record, so that a mask is never stored.
pub(super) fn unmask<R: Resource>(before: &R, members: &mut Object, disclosure: Disclosure) -> Result<()> {
    if disclosure == Disclosure::Full {
        return Ok(());
    }
    let (shown, fields) = (json_of(before)?, R::collection().fields);
    let masked = masked(fields, &shown).map_err(Error::internal)?;
    let read = |value: &[u8]| serde_json::from_slice::<Value>(value).map_err(Error::internal);
    for ((name, stored), (_, masked)) in document::members(&shown).zip(document::members(&masked)) {
        let name = String::from_utf8_lossy(name);
        let Some(member) = members.get_mut(&*name).filter(|_| is_personal(fields, &name)) else { continue };
        if *member == read(masked)? {
            *member = read(stored)?;
        } else if serde_json::to_string(member).map_err(Error::internal)?.contains(MASK) {
            let message = "is masked; leave it out, or reveal the record first";
            return Err(Error::invalid(format!("/{name}"), "masked", message));
        }
    }
    Ok(())
}
