//! Entries that the server writes itself.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::values::ids::UserId;

/// What was done that changed no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// One record was shown.
    Read,
    /// A list was shown.
    Search,
    /// Records left as a file.
    Export,
    /// A record was shown unmasked to a caller who gets it masked.
    Reveal,
}

impl Action {
    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Search => "search",
            Self::Export => "export",
            Self::Reveal => "reveal",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub at: DateTime<Utc>,
    pub actor: Option<UserId>,
    /// Id of the request.
    pub request: String,
    pub action: Action,
    /// Collection or table.
    pub kind: &'static str,
    pub subject: Option<Uuid>,
    /// JSON without personal data.
    pub details: Option<String>,
}

/// Writes entries in one statement.
pub(super) async fn insert(db: impl PgExecutor<'_>, entries: &[Entry]) -> sqlx::Result<()> {
    let at: Vec<DateTime<Utc>> = entries.iter().map(|entry| entry.at).collect();
    let actor: Vec<Option<Uuid>> = entries.iter().map(|entry| entry.actor.map(Uuid::from)).collect();
    let request: Vec<String> = entries.iter().map(|entry| entry.request.clone()).collect();
    let action: Vec<String> = entries.iter().map(|entry| entry.action.as_str().to_owned()).collect();
    let kind: Vec<String> = entries.iter().map(|entry| entry.kind.to_owned()).collect();
    let subject: Vec<Option<Uuid>> = entries.iter().map(|entry| entry.subject).collect();
    let details: Vec<Option<String>> = entries.iter().map(|entry| entry.details.clone()).collect();
    sqlx::query!(
        r#"
        insert into audit_log (at, actor, request, action, kind, subject, details)
        select at, actor, request, action, kind, subject, details::json
        from unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[])
          as entry (at, actor, request, action, kind, subject, details)
        "#,
        &at,
        &actor as &[Option<Uuid>],
        &request,
        &action,
        &kind,
        &subject as &[Option<Uuid>],
        &details as &[Option<String>],
    )
    .execute(db)
    .await?;
    Ok(())
}
