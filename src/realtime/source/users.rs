//! Events of users: log-ins, log-outs and locks.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::versions;
use crate::error::Result;
use crate::feed::{Announcement, Operation};
use crate::realtime::event::{Event, EventId};
use crate::realtime::events::{USER_ACTIVITY, USER_LOCKED};
use crate::realtime::topic::{Topic, TopicKind};

/// Whether an announcement may become an event of topics of these kinds.
pub(super) fn concerns(announcement: &Announcement, interest: &BTreeSet<TopicKind>) -> bool {
    interest.contains(&TopicKind::Users) && matches!(&*announcement.collection, "sessions" | "users")
}

/// Reads the announced sessions and users and writes their events.
pub(super) async fn events(snapshot: &mut PgConnection, announced: &[(EventId, &Announcement)]) -> Result<Vec<Event>> {
    let of = |table: &str| -> Vec<_> { announced.iter().filter(|(_, one)| one.collection == table).collect() };
    let (sessions, users) = (of("sessions"), of("users"));
    let mut told = Vec::new();
    if !sessions.is_empty() {
        let ids: Vec<Uuid> = sessions.iter().map(|(_, one)| one.id).collect();
        let found = sqlx::query!(
            r#"
            select s.id, u.username, s.created_at, s.revoked_at
            from sessions s
            join users u on u.id = s.user_id
            where s.id = any($1)
            "#,
            &ids,
        );
        let found = found.fetch_all(&mut *snapshot).await?;
        for (id, one) in sessions {
            let Some(session) = found.iter().find(|session| session.id == one.id) else { continue };
            if one.operation == Operation::Created {
                told.push(activity(*id, &session.username, "login", session.created_at));
            }
            if let Some(at) = session.revoked_at {
                let id = EventId { place: id.place + 1, ..*id };
                told.push(activity(id, &session.username, "logout", at));
            }
        }
    }
    if !users.is_empty() {
        let (ids, first_versions, versions) = versions(&users);
        // Users are announced with other changes, too, and others may have followed the lock.
        let found = sqlx::query!(
            r#"
            select u.id, u.username, u.locked_until
            from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as announced (id, first_version, version)
            join users u on u.id = announced.id
            where u.locked_version between announced.first_version and announced.version
            "#,
            &ids,
            &first_versions as &[Option<i64>],
            &versions as &[Option<i64>],
        );
        let found = found.fetch_all(&mut *snapshot).await?;
        for (id, one) in users {
            let Some(user) = found.iter().find(|user| user.id == one.id) else { continue };
            let data = json!({ "userId": user.id, "username": user.username, "lockedUntil": user.locked_until.map(written) });
            told.push(Event::new(&USER_LOCKED, Some(*id), vec![Topic::Users], data.to_string()));
        }
    }
    Ok(told)
}

fn activity(id: EventId, username: &str, action: &str, at: DateTime<Utc>) -> Event {
    let data = json!({ "username": username, "action": action, "timestamp": written(at) });
    Event::new(&USER_ACTIVITY, Some(id), vec![Topic::Users], data.to_string())
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
