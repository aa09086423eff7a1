//! The address of the audit log: administrators search it, and that is logged too.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

use crate::api::paging::{Part, Rows};
use crate::api::{Reply, Request};
use crate::app::App;
use crate::audit::Action;
use crate::auth::Permission::Administer;
use crate::auth::{Caller, may};
use crate::error::{Error, Result, clipped};
use crate::http::Routes;
use crate::operation::{Operation, Takes};
use crate::routes;
use crate::values::clock::milliseconds;

/// The access matrix of the audit log.
pub fn routes(app: &App) -> Routes {
    routes! { app, "audit";
        /// Lists the entries that match, newest first; that is logged too.
        get () may(Administer) => list: Listing -> Rows<Shown>;
    }
}

/// The parameters of the list.
struct Listing;

impl Takes for Listing {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
        let (id, moment) = (json!({ "type": "string", "format": "uuid" }), json!({ "type": "string", "format": "date-time" }));
        let word = json!({ "type": "string", "minLength": 1 });
        operation.query("actor", "Id of the user who did it.", id.clone());
        operation.query("action", "What was done: `create`, `change`, `delete`, `read`, `search`, `reveal`, …", word.clone());
        operation.query("kind", "The table or collection, such as `customers`.", word.clone());
        operation.query("subject", "Id of the record.", id);
        operation.query("requestId", "Id of the request, as its answer and its log line have it.", word);
        operation.query("from", "The first moment.", moment.clone());
        operation.query("to", "The last moment.", moment);
    }
}

/// An entry as it is shown.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditEntry")]
struct Shown {
    id: i64,
    #[serde(serialize_with = "milliseconds")]
    at: DateTime<Utc>,
    /// The user who did it; none if it was done at psql, or before anyone was known.
    actor: Option<Uuid>,
    actor_name: Option<String>,
    /// The role that was connected to Postgres.
    login: String,
    request_id: Option<String>,
    action: String,
    kind: String,
    subject: Option<Uuid>,
    /// Members of what was created or deleted, values before and after of what changed, or what was searched. Personal data is hashed.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    details: Option<Json<Box<RawValue>>>,
    #[serde(skip)]
    transaction: i64,
}

/// What the parameters ask for.
struct Wanted {
    actor: Option<Uuid>,
    action: Option<String>,
    kind: Option<String>,
    subject: Option<Uuid>,
    request: Option<String>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    part: Part,
}

/// Lists entries, newest first.
async fn list(_caller: Caller, request: Request) -> Result<Reply> {
    let wanted = Wanted::read(&request)?;
    let asked: Vec<String> = request.parameters().map(|(name, _)| name.into_owned()).collect();
    let details = json!({ "fields": asked }).to_string();
    let entry = request.audit_entry(Action::Search, "audit_log", wanted.subject, Some(details));
    request.app.audit.write(entry).await?;
    let entries = wanted.page(&request.app.db.server).await?;
    wanted.part.answer(&request, entries, Shown::place)
}

impl Shown {
    /// Where it stands in the order of the log.
    fn place(&self) -> Uuid {
        Uuid::from_u64_pair(self.transaction.unsigned_abs(), self.id.unsigned_abs())
    }
}

impl Wanted {
    fn read(request: &Request) -> Result<Self> {
        let mut wanted = Self {
            actor: None,
            action: None,
            kind: None,
            subject: None,
            request: None,
            from: None,
            to: None,
            part: Part::new(request),
        };
        for (name, value) in request.parameters() {
            if wanted.part.take(request, &name, &value)? {
                continue;
            }
            let refused = |message: &str| Error::malformed("bad_parameter", format!("{}: {message}", clipped(&name)));
            if value.is_empty() {
                return Err(refused("takes a value"));
            }
            let id = || value.parse::<Uuid>().map(Some).map_err(|_| refused("takes an id"));
            let moment =
                || value.parse::<DateTime<Utc>>().map(Some).map_err(|_| refused("takes a moment such as 2026-11-23T00:00:00Z"));
            match &*name {
                "actor" => wanted.actor = id()?,
                "action" => wanted.action = Some(value.into_owned()),
                "kind" => wanted.kind = Some(value.into_owned()),
                "subject" => wanted.subject = id()?,
                "requestId" => wanted.request = Some(value.into_owned()),
                "from" => wanted.from = moment()?,
                "to" => wanted.to = moment()?,
                _ => {
                    return Err(refused(
                        "known are actor, action, kind, subject, requestId, from, to, limit, cursor and syncToken",
                    ));
                }
            }
        }
        Ok(wanted)
    }

    /// One entry more than the page has, if there is one.
    async fn page(&self, db: &PgPool) -> Result<Vec<Shown>> {
        let (xid, id) = self.part.after.map(|place| place.as_u64_pair()).unzip();
        let entries = sqlx::query_as!(
            Shown,
            r#"
            select
              l.id, l.at, l.actor, coalesce(u.name, u.username) as "actor_name?", l.login, l.request as request_id, l.action, l.kind,
              l.subject, l.details as "details: Json<Box<RawValue>>", l.xid::text::bigint as "transaction!"
            from audit_log l
            left join users u on u.id = l.actor
            where ($1::uuid is null or l.actor = $1)
            and ($2::text is null or l.action = $2)
            and ($3::text is null or l.kind = $3)
            and ($4::uuid is null or l.subject = $4)
            and ($5::text is null or l.request = $5)
            and ($6::timestamptz is null or l.at >= $6)
            and ($7::timestamptz is null or l.at <= $7)
            and ($8::text is null or (l.xid, l.id) < (cast($8::text as xid8), $9::bigint))
            order by l.xid desc, l.id desc
            limit $10
            "#,
            self.actor,
            self.action,
            self.kind,
            self.subject,
            self.request,
            self.from,
            self.to,
            xid.map(|xid| xid.to_string()),
            id.map(u64::cast_signed),
            self.part.to_read(),
        );
        Ok(entries.fetch_all(db).await?)
    }
}
