//! What a user wants to be notified of, and where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;

use super::kind::{KINDS, Kind};
use crate::api::{Contended, Reply, Request, json};
use crate::auth::Caller;
use crate::error::{Result, Violations};
use crate::values::ids::UserId;

/// The list of notifications; there is no other channel yet.
const APP: &str = "app";

/// Preferences, one for each kind and channel.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NotificationPreferences")]
#[schemars(extend("examples" = [{ "preferences": [{ "kind": "customer.created", "channel": "app", "isEnabled": false }] }]))]
pub(super) struct Preferences {
    preferences: Vec<Preference>,
}

#[derive(Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NotificationPreference")]
struct Preference {
    kind: String,
    /// `app`: the list of notifications.
    channel: String,
    is_enabled: bool,
}

pub(super) async fn read(caller: Caller, request: Request) -> Result<Reply> {
    json(&all(&request.app.db.read, caller.id).await?)
}

/// Changes the preferences that the request names; the others stay.
pub(super) async fn change(caller: Caller, mut request: Request) -> Result<Reply> {
    let Preferences { preferences } = request.json().await?;
    let mut violations = Violations::default();
    for (place, preference) in preferences.iter().enumerate() {
        if Kind::named(&preference.kind).is_none() {
            let known = KINDS.known.join(", ");
            violations.add(format!("/preferences/{place}/kind"), "unknown_value", format!("takes one of {known}"));
        }
        if preference.channel != APP {
            violations.add(format!("/preferences/{place}/channel"), "unknown_value", format!("takes {APP}"));
        }
    }
    violations.check()?;
    request
        .write(caller.id, Contended::Nothing, async |connection| {
            for preference in &preferences {
                let stored = sqlx::query!(
                    r#"
                    insert into notification_preferences (user_id, kind, channel, is_enabled)
                    values ($1, $2, $3, $4)
                    on conflict on constraint notification_preferences_key do update
                    set is_enabled = excluded.is_enabled
                    "#,
                    caller.id.0,
                    preference.kind,
                    preference.channel,
                    preference.is_enabled,
                );
                stored.execute(&mut *connection).await?;
            }
            json(&all(&mut *connection, caller.id).await?)
        })
        .await
}

async fn all(executor: impl PgExecutor<'_>, user: UserId) -> Result<Preferences> {
    let disabled = sqlx::query_scalar!(
        "select kind from notification_preferences where user_id = $1 and channel = $2 and not is_enabled",
        user.0,
        APP,
    );
    let disabled = disabled.fetch_all(executor).await?;
    let preference = |kind: Kind| Preference {
        kind: kind.as_str().to_owned(),
        channel: APP.to_owned(),
        is_enabled: !disabled.iter().any(|one| one == kind.as_str()),
    };
    Ok(Preferences { preferences: Kind::ALL.into_iter().map(preference).collect() })
}
