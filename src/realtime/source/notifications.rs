//! Events of notifications, each for its own user.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Result;
use crate::feed::{Announcement, Operation};
use crate::realtime::event::{Event, EventId};
use crate::realtime::events::NOTIFICATION;
use crate::realtime::topic::{Topic, TopicKind};
use crate::values::ids::UserId;

const TABLE: &str = "notifications";

/// Whether an announcement may be told to those who listen to topics of these kinds.
pub(super) fn concerns(announcement: &Announcement, interest: &BTreeSet<TopicKind>) -> bool {
    announcement.collection == TABLE && announcement.operation == Operation::Created && interest.contains(&TopicKind::User)
}

/// Reads the announced notifications. Their texts are made for a reader, so an event says which to load.
pub(super) async fn events(snapshot: &mut PgConnection, announced: &[(EventId, &Announcement)]) -> Result<Vec<Event>> {
    let new: Vec<_> = announced.iter().filter(|(_, one)| one.collection == TABLE).collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = new.iter().map(|(_, one)| one.id).collect();
    let found = sqlx::query!("select id, user_id, kind, subject, count from notifications where id = any($1)", &ids);
    let found = found.fetch_all(snapshot).await?;
    let events = new.into_iter().filter_map(|(id, one)| {
        let row = found.iter().find(|row| row.id == one.id)?;
        let data = json!({ "id": row.id, "kind": row.kind, "subject": row.subject, "count": row.count });
        Some(Event::new(&NOTIFICATION, Some(*id), vec![Topic::User(UserId(row.user_id))], data.to_string()))
    });
    Ok(events.collect())
}
