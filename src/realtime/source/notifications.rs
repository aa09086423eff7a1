//! Events of notifications, each for its own user, and of debts that are overdue, for those who are notified of them.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Result;
use crate::feed::{Announcement, Operation};
use crate::realtime::event::{Event, EventId};
use crate::realtime::events::{NOTIFICATION, OVERDUE};
use crate::realtime::topic::{Topic, TopicKind};
use crate::values::ids::UserId;
use crate::values::money::{Currency, Money};

const TABLE: &str = "notifications";

/// Whether an announcement may become an event of topics of these kinds.
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
    let found = sqlx::query!(
        r#"
        select id, user_id, kind, subject, count, amount, currency as "currency: Currency", due_date
        from notifications
        where id = any($1)
        "#,
        &ids,
    );
    let found: HashMap<Uuid, _> = found.fetch_all(snapshot).await?.into_iter().map(|row| (row.id, row)).collect();
    let mut events = Vec::new();
    for (id, one) in new {
        let Some(row) = found.get(&one.id) else { continue };
        let user = || vec![Topic::User(UserId(row.user_id))];
        let data = json!({ "id": row.id, "kind": row.kind, "subject": row.subject, "count": row.count });
        events.push(Event::new(&NOTIFICATION, Some(*id), user(), data.to_string()));
        if row.kind == OVERDUE.name {
            let id = EventId { place: id.place + 1, ..*id };
            let amount = row.amount.zip(row.currency).map(|(minor, currency)| Money { minor, currency });
            let data = json!({ "accountId": row.subject, "amount": amount, "currency": row.currency, "dueDate": row.due_date });
            events.push(Event::new(&OVERDUE, Some(id), user(), data.to_string()));
        }
    }
    Ok(events)
}
