//! The addresses of API keys.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::key::ApiKey;
use super::store::{self, New, Shown};
use crate::api::paging::{self, Rows};
use crate::api::{Reply, Request, created, no_content};
use crate::app::App;
use crate::auth::Permission::{self, Administer, Read};
use crate::auth::{Caller, may};
use crate::error::{Error, Result, Violations, clipped};
use crate::http::Routes;
use crate::operation::{Created, NoContent, Nothing, Operation, Takes};
use crate::routes;
use crate::values::ids::ApiKeyId;

const NAME_CHARS: usize = 100;

/// The access matrix of API keys. A user manages its own keys, an administrator those of all; a key manages none.
pub(in crate::auth) fn routes(app: &App) -> Routes {
    routes! { app, "auth";
        /// Makes an API key, which is shown this once.
        post   ("keys")            may(Read) => create: NewKey -> Created<NewlyMade>;
        /// Lists the caller's API keys.
        get    ("keys")            may(Read) => list:   Listing -> Rows<Shown>;
        /// Ends an API key.
        delete ("keys" / ApiKeyId) may(Read) => remove: Nothing -> NoContent;
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NewApiKey", deny_unknown_fields)]
#[schemars(extend("examples" = [{ "name": "nightly import", "scopes": ["read", "edit"] }]))]
struct NewKey {
    #[schemars(length(min = 1, max = NAME_CHARS))]
    name: String,
    /// Names of permissions.
    #[schemars(length(min = 1))]
    scopes: Vec<String>,
    /// A moment in the future; none lasts until it is deleted.
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
}

/// A new key, the only time that its secret is shown.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "NewlyMadeApiKey")]
struct NewlyMade {
    /// `col_<id>_<secret>`.
    key: String,
    #[serde(flatten)]
    shown: Shown,
}

/// The parameters of the list.
struct Listing;

impl Takes for Listing {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
        operation.query(
            "all",
            "Whether to list the keys of all users, for admins.",
            json!({ "type": "boolean", "default": false }),
        );
    }
}

/// Creates a key. An idempotency key would store its secret, so none is kept: a repeated request makes another key.
async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    caller.identity()?;
    let new: NewKey = request.json().await?;
    let (app, now) = (&request.app, request.app.clock.now());
    new.check(&caller, now)?;
    let NewKey { name, scopes, expires_at } = new;
    let key = ApiKey::random();
    let row = New { key: &key, owner: caller.id, name: &name, scopes: &scopes, expires_at };
    let shown = store::insert(&app.db.server, row, now).await?;
    created(&format!("/api/v1/auth/keys/{}", key.id), &NewlyMade { key: key.encode(), shown })
}

impl NewKey {
    /// Checks the values, and that the caller has every permission that the key is to have.
    fn check(&self, caller: &Caller, now: DateTime<Utc>) -> Result<()> {
        let mut violations = Violations::default();
        violations.length("/name", Some(&self.name), 1, NAME_CHARS);
        if self.scopes.is_empty() {
            violations.add("/scopes", "too_short", "needs at least one permission");
        }
        for (at, scope) in self.scopes.iter().enumerate() {
            let pointer = format!("/scopes/{at}");
            if Permission::named(scope).is_none() {
                let known = Permission::ALL.map(Permission::name).join(", ");
                violations.add(pointer, "unknown_value", format!("{} is no permission; known are {known}", clipped(scope)));
            } else if self.scopes[..at].contains(scope) {
                violations.add(pointer, "duplicate", "is in the list already");
            }
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            violations.add("/expiresAt", "out_of_range", "lies in the past");
        }
        violations.check()?;
        self.scopes.iter().filter_map(|scope| Permission::named(scope)).try_for_each(|scope| caller.require(scope))
    }
}

/// Lists the caller's keys, or with `all` those of all users.
async fn list(caller: Caller, request: Request) -> Result<Reply> {
    caller.identity()?;
    let part = paging::part(&request, &["all"])?;
    let lists_all = request.flag("all")?;
    if lists_all {
        caller.require(Administer)?;
    }
    let owner = (!lists_all).then_some(caller.id);
    let keys = store::list(&request.app.db.read, owner, part.after, part.to_read()).await?;
    part.answer(&request, keys, |key| key.id)
}

async fn remove(id: ApiKeyId, caller: Caller, request: Request) -> Result<Reply> {
    caller.identity()?;
    let owner = (!caller.has(Administer)).then_some(caller.id);
    if store::remove(&request.app, id, owner).await? { Ok(no_content()) } else { Err(Error::NotFound("API key")) }
}
