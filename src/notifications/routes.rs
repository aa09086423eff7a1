//! The addresses of notifications. Each user has their own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::kind::{KINDS, Kind};
use super::notification::Notification;
use super::preferences::{self, Preferences};
use super::store::{self, Filter};
use crate::api::paging::{Part, Rows};
use crate::api::{self, Contended, Reply, Request};
use crate::app::App;
use crate::auth::Permission::Read;
use crate::auth::{Caller, may};
use crate::error::{Error, Result, clipped};
use crate::http::Routes;
use crate::operation::{Nothing, Operation, Takes, Unversioned};
use crate::routes;
use crate::search::parse::flag;

/// Most notifications that one request names.
const MOST_IDS: usize = 1_000;

/// The access matrix of notifications.
pub fn routes(app: &App) -> Routes {
    routes! { app, "notifications";
        get  ()              may(Read) => list:                Listing -> Rows<Notification>;
        /// Counts the notifications that the caller has not read.
        get  ("count")       may(Read) => count:               Nothing -> Unread;
        /// Marks notifications as read: some, those of a kind, or all.
        post ("read")        may(Read) => mark_read:           Unversioned<Wanted> -> Marked;
        get  ("preferences") may(Read) => preferences::read:   Nothing -> Preferences;
        /// Changes what the caller is notified of; what is not named stays.
        put  ("preferences") may(Read) => preferences::change: Unversioned<Preferences> -> Preferences;
    }
}

/// The parameters of the list.
struct Listing;

impl Takes for Listing {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
        operation.query("unread", "Only those that are not read.", json!({ "type": "boolean", "default": false }));
        operation.query("kind", "Of which kind.", json!({ "type": "string", "enum": KINDS.known }));
    }
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "UnreadNotifications")]
struct Unread {
    unread: i64,
    by_kind: Vec<UnreadOfKind>,
}

#[derive(JsonSchema, Serialize)]
struct UnreadOfKind {
    #[schemars(with = "String")]
    kind: Kind,
    count: i64,
}

/// Which notifications; one of the members.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ReadNotifications", extend("examples" = [{ "all": true }]))]
struct Wanted {
    ids: Option<Vec<Uuid>>,
    #[serde(default)]
    all: bool,
    /// All of this kind.
    group: Option<String>,
}

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "MarkedNotifications")]
struct Marked {
    /// How many were not read before.
    marked: u64,
}

async fn list(caller: Caller, request: Request) -> Result<Reply> {
    let (mut filter, mut part) = (Filter::default(), Part::new(&request));
    for (name, value) in request.parameters() {
        if part.take(&request, &name, &value)? {
            continue;
        }
        let refused = |message: String| Error::malformed("bad_parameter", format!("{}: {message}", clipped(&name)));
        match &*name {
            "unread" => filter.unread = flag(&value).map_err(|wrong| refused(wrong.to_string()))?,
            "kind" => {
                let known = || refused(format!("takes one of {}", KINDS.known.join(", ")));
                filter.kind = Some(Kind::named(&value).ok_or_else(known)?);
            }
            _ => return Err(refused("known are unread, kind, limit, cursor and syncToken".into())),
        }
    }
    let rows = store::page(&request.app.db.read, caller.id, filter, part.after, part.to_read()).await?;
    let shown = rows.into_iter().map(|row| row.shown(caller.disclosure())).collect();
    part.answer(&request, shown, Notification::id)
}

async fn count(caller: Caller, request: Request) -> Result<Reply> {
    let counts = store::unread(&request.app.db.read, caller.id).await?;
    let unread = counts.iter().map(|(_, count)| count).sum();
    api::json(&Unread { unread, by_kind: counts.into_iter().map(|(kind, count)| UnreadOfKind { kind, count }).collect() })
}

async fn mark_read(caller: Caller, mut request: Request) -> Result<Reply> {
    let wanted: Wanted = request.json().await?;
    let kind = match &wanted.group {
        None => None,
        Some(group) => {
            let known = || format!("takes one of {}", KINDS.known.join(", "));
            Some(Kind::named(group).ok_or_else(|| Error::invalid("/group", "unknown_value", known()))?)
        }
    };
    if [wanted.ids.is_some(), wanted.all, kind.is_some()].into_iter().filter(|is_said| *is_said).count() != 1 {
        return Err(Error::invalid("", "contradiction", "takes one of ids, all and group"));
    }
    if wanted.ids.as_ref().is_some_and(|ids| ids.len() > MOST_IDS) {
        return Err(Error::invalid("/ids", "too_many", format!("takes at most {MOST_IDS}")));
    }
    let mark = async |connection: &mut _| {
        let marked = store::mark_read(connection, caller.id, wanted.ids.as_deref(), kind).await?;
        api::json(&Marked { marked })
    };
    request.write(caller.id, Contended::Nothing, mark).await
}
