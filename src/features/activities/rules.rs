//! The rules of activities that no table says, and the step that tells the account of a contact.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::activity::{self, Activity};
use super::fields::COLLECTION;
use crate::api::{Context, fields};
use crate::db::rows;
use crate::error::{Error, OnConstraint, Result, Violations};
use crate::features::accounts::unknown_account;
use crate::features::resource::{self, Patch};
use crate::search::Access;
use crate::values::ids::{ActivityId, UserId};
use crate::values::json::{Object, Value};

/// Types that reach the customer.
const CONTACTS: [&str; 8] = ["call", "chat", "email", "letter", "meeting", "sms", "visit", "whatsapp"];

impl Activity {
    /// Reads a request for a new activity on an account.
    pub fn read_new(mut body: Object, account: Uuid, context: &Context<'_>, violations: &mut Violations) -> Self {
        let mut activity = Self::new(account, context.by.map(Uuid::from), context.now);
        if body.get("type").is_none_or(Value::is_null) {
            violations.add("/type", "required", "takes a word such as call, email, letter, note, sms or visit");
        }
        activity.apply_time(&mut body, context.now, violations);
        fields::apply(&mut activity, &mut body, violations);
        fields::refuse_rest::<Self>(&body, context.is_strict, violations);
        activity.tidy(violations);
        activity
    }

    fn apply_time(&mut self, body: &mut Object, now: DateTime<Utc>, violations: &mut Violations) {
        let (change, mut at) = (fields::take(body, "occurredAt", violations), Some(self.occurred_at));
        violations.past("/occurredAt", change, now, &mut at);
        self.occurred_at = at.unwrap_or(now);
    }

    /// Writes words in one form, and checks that the activity says something.
    fn tidy(&mut self, violations: &mut Violations) {
        self.kind = self.kind.to_lowercase();
        for word in [&mut self.disposition, &mut self.channel].into_iter().flatten() {
            *word = word.to_lowercase();
        }
        if self.note.is_none() && self.disposition.is_none() {
            violations.add("/note", "required", "needs a note, or a disposition that says what came of it");
        }
    }

    fn is_contact(&self) -> bool {
        CONTACTS.contains(&self.kind.as_str())
    }
}

/// Inserts an activity, and tells its account of a contact.
///
/// # Errors
/// An account that does not exist or is deleted; the same activity of the last minutes, which the conflict shows.
pub async fn record(connection: &mut PgConnection, activity: &Activity, by: Option<UserId>) -> Result<ActivityId> {
    lock_account(connection, activity.account_id).await?;
    if let Some(first) = find_first(connection, activity).await? {
        return Err(repeated(&first));
    }
    let row = fields::columns(activity, |access| access != Access::Server);
    rows::insert(&mut *connection, COLLECTION.name, &[row], by.map(Uuid::from))
        .await
        .on_constraint("activities_account_id_fkey", unknown_account)?
        .or(|| Error::internal("an activity's id was taken"))?;
    tell_account(connection, activity, by).await?;
    Ok(ActivityId(activity.id))
}

/// Checks changes of several activities, of which none is read yet.
pub(super) fn check_changes(mut changes: Object, context: &Context<'_>, violations: &mut Violations) {
    let mut any = Activity::default();
    any.apply_time(&mut changes, context.now, violations);
    fields::apply(&mut any, &mut changes, violations);
    fields::refuse_rest::<Activity>(&changes, context.is_strict, violations);
}

/// Applies a request to a locked activity.
///
/// # Errors
/// An activity of another user, without the authority; what breaks the rules of a new one.
pub async fn change(connection: &mut PgConnection, before: &Activity, mut patch: Patch, context: &Context<'_>) -> Result<()> {
    let (mut after, mut violations) = (patch.base(before), Violations::default());
    if patch.is_replacement {
        after.kind.clone_from(&before.kind);
        if patch.members.get("type").is_none_or(Value::is_null) {
            violations.add("/type", "required", "takes a word such as call, email, letter, note, sms or visit");
        }
    }
    after.apply_time(&mut patch.members, context.now, &mut violations);
    resource::apply(before, &mut after, patch, context, &mut violations)?;
    after.tidy(&mut violations);
    violations.check()?;
    if after == *before {
        return Ok(());
    }
    // What another has done or heard is theirs to say; anyone may pin it.
    let is_corrected = Activity { is_pinned: before.is_pinned, ..after.clone() } != *before;
    if is_corrected && context.by.map(Uuid::from) != before.user_id {
        context.require_full_authority()?;
    }
    let row = fields::columns(&after, |access| access == Access::Write);
    rows::update(&mut *connection, COLLECTION.name, after.id, &row, context.by.map(Uuid::from)).await?;
    tell_account(connection, &after, context.by).await
}

/// Locks the account, so that it cannot be deleted meanwhile and the same activity twice at once is seen.
async fn lock_account(connection: &mut PgConnection, account: Uuid) -> Result<()> {
    let locked = rows::lock(connection, "accounts", account).await?;
    locked.filter(|locked| locked.deleted_at.is_none()).ok_or_else(unknown_account).map(drop)
}

/// Moves the account's `lastContactAt` forward; an earlier contact that is recorded late changes nothing.
async fn tell_account(connection: &mut PgConnection, activity: &Activity, by: Option<UserId>) -> Result<()> {
    if !activity.is_contact() {
        return Ok(());
    }
    let told = sqlx::query!(
        r#"
        update accounts
        set last_contact_at = $2, updated_by = $3, updated_at = greatest(clock_timestamp(), updated_at + interval '1 millisecond')
        where id = $1
        and (last_contact_at is null or last_contact_at < $2)
        "#,
        activity.account_id,
        activity.occurred_at,
        by.map(Uuid::from),
    );
    told.execute(connection).await?;
    Ok(())
}

/// Finds the same activity of the same user in the last minutes: an impatient second click, or a client that tries again.
async fn find_first(connection: &mut PgConnection, activity: &Activity) -> Result<Option<Activity>> {
    let first = sqlx::query_scalar!(
        r#"
        select id
        from activities
        where account_id = $1
        and user_id is not distinct from $2
        and kind = $3
        and note is not distinct from $4
        and disposition is not distinct from $5
        -- Not by the index of moments: other accounts have many within the time.
        and created_at + interval '5 minutes' > now()
        and deleted_at is null
        order by created_at
        limit 1
        "#,
        activity.account_id,
        activity.user_id,
        activity.kind,
        activity.note,
        activity.disposition,
    );
    let Some(id) = first.fetch_optional(&mut *connection).await? else { return Ok(None) };
    Ok(activity::select(connection, &[id]).await?.pop())
}

fn repeated(first: &Activity) -> Error {
    // What the same user wrote, and nothing of the customer.
    let Activity { id, kind, disposition, note, occurred_at, created_at, .. } = first;
    let existing = serde_json::json!({
        "id": id, "type": kind, "disposition": disposition, "note": note, "occurredAt": occurred_at, "createdAt": created_at,
    });
    let more = serde_json::json!({ "existing": existing });
    Error::Conflict {
        code: "repeated_activity",
        detail: "the same user wrote the same activity less than five minutes ago".into(),
        more: more.as_object().cloned().unwrap_or_default(),
    }
}
