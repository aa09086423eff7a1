//! The addresses of activities, also of those on an account and of a customer.

use schemars::JsonSchema;
use sqlx::PgConnection;
use uuid::Uuid;

use super::activity::{self, Activity};
use super::bulk::{self, LatestActivities, OfAccounts};
use super::fields::{COLLECTION, of_account, of_customer};
use super::history::{self, History};
use super::rules;
use crate::api::{Contended, Context, Reply, Request, fields};
use crate::app::App;
use crate::auth::Permission::{Edit, Manage, Read, Reveal};
use crate::auth::{Caller, may};
use crate::db::rows;
use crate::error::{Result, Violations};
use crate::features::accounts;
use crate::features::resource::{
    self, Begun, Bulk, BulkChanged, Changes, ChangesOfMany, List, New, Page, Patch, Reason, Removal, Replacement, Resource,
    Search, Shape, View,
};
use crate::http::Routes;
use crate::operation::{Created, NoContent, Nothing, OrJob};
use crate::routes;
use crate::search::{Collection, Terms};
use crate::values::ids::{AccountId, ActivityId, CustomerId};
use crate::values::json::{Object, Value};

/// The access matrix of activities.
pub fn routes(app: &App) -> Routes {
    routes! { app, "activities";
        get    ()                       may(Read)   => resource::list::<Activity>:    List<Activity> -> Page<Activity>;
        post   ()                       may(Edit)   => create:                        New<Activity> -> Created<Activity>;
        post   ("search")               may(Read)   => resource::search::<Activity>:  Search<Activity> -> Page<Activity>;
        /// Changes many activities: those with these ids, those that a filter selects, or each in its own way.
        patch  ("batch")                may(Edit)   => resource::change_many::<Activity>: ChangesOfMany<Activity> -> OrJob<BulkChanged, Begun>;
        /// Lists the latest activities of many accounts.
        get    ("bulk")                 may(Read)   => bulk::read:                    OfAccounts -> LatestActivities;
        get    (ActivityId)             may(Read)   => resource::read::<Activity>:    Shape<Activity> -> View<Activity>;
        /// Lists what an activity said before it was corrected, the latest first.
        get    (ActivityId / "history") may(Read)   => history::read:                 Nothing -> History;
        patch  (ActivityId)             may(Edit)   => resource::change::<Activity>:  Changes<Activity> -> Activity;
        put    (ActivityId)             may(Edit)   => resource::replace::<Activity>: Replacement<Activity> -> Activity;
        /// Pins an activity, so that it is shown before the others.
        post   (ActivityId / "pin")     may(Edit)   => pin:                           Nothing -> Activity;
        /// Unpins an activity.
        post   (ActivityId / "unpin")   may(Edit)   => unpin:                         Nothing -> Activity;
        /// Shows one record unmasked to a caller who gets it masked; why is logged.
        post   (ActivityId / "reveal")  may(Reveal) => resource::reveal::<Activity>:  Reason -> Activity;
        delete (ActivityId)             may(Manage) => resource::remove::<Activity>:  Removal -> NoContent;
        post   (ActivityId / "restore") may(Manage) => resource::restore::<Activity>: Nothing -> Activity;
    }
}

/// The access matrix of an account's activities.
pub fn account_routes(app: &App) -> Routes {
    routes! { app, "accounts";
        get  (AccountId / "activities") may(Read) => list_on_account:   List<Activity> -> Page<Activity>;
        post (AccountId / "activities") may(Edit) => create_on_account: New<Activity> -> Created<Activity>;
    }
}

/// The access matrix of the activities on a customer's accounts.
pub fn customer_routes(app: &App) -> Routes {
    routes! { app, "customers";
        get (CustomerId / "activities") may(Read) => list_of_customer: List<Activity> -> Page<Activity>;
    }
}

/// What a new activity needs.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["type"]))]
#[schemars(extend("examples" = [{ "type": "call", "disposition": "promise", "note": "promises to pay on Friday" }]))]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
pub struct NewActivity {
    /// Of which account; below the address of an account it is that one.
    account_id: Option<Uuid>,
}

impl Resource for Activity {
    type Id = ActivityId;
    type New = NewActivity;
    type Changed = ();
    const NAME: &'static str = "activity";

    fn collection() -> &'static Collection {
        &COLLECTION
    }

    fn terms(&self) -> Terms {
        self.search_terms()
    }

    async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Self>> {
        activity::select(connection, ids).await
    }

    async fn change(connection: &mut PgConnection, before: &Self, patch: Patch, context: &Context<'_>) -> Result<()> {
        rules::change(connection, before, patch, context).await
    }
}

impl Bulk for Activity {
    const JOB: &'static str = "change_activities";

    fn check(changes: Object, context: &Context<'_>, violations: &mut Violations) {
        rules::check_changes(changes, context, violations);
    }

    /// Their accounts, which learn of a contact.
    async fn lock_neighbours(connection: &mut PgConnection, activities: &[Self], _changes: &[&Object]) -> Result<()> {
        let accounts: Vec<Uuid> = activities.iter().map(|activity| activity.account_id).collect();
        Ok(rows::lock_all(connection, "accounts", &accounts).await?)
    }
}

/// An account that does not exist has no activities; whether it exists is asked by its own address.
async fn list_on_account(id: AccountId, caller: Caller, request: Request) -> Result<Reply> {
    resource::list_part::<Activity>(&caller, &request, of_account(id)).await
}

async fn list_of_customer(id: CustomerId, caller: Caller, request: Request) -> Result<Reply> {
    resource::list_part::<Activity>(&caller, &request, of_customer(id)).await
}

async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    let mut body = request.object().await?;
    let mut violations = Violations::default();
    let account = fields::take(&mut body, "accountId", &mut violations).value();
    if account.is_none() && violations.is_empty() {
        violations.add("/accountId", "required", "takes the id of an account");
    }
    violations.check()?;
    record(body, account.unwrap_or_default(), &caller, &request).await
}

async fn create_on_account(id: AccountId, caller: Caller, mut request: Request) -> Result<Reply> {
    let mut body = request.object().await?;
    accounts::take_repeated_account(&mut body, id)?;
    record(body, id.0, &caller, &request).await.map_err(accounts::unknown_in_address)
}

async fn record(body: Object, account: Uuid, caller: &Caller, request: &Request) -> Result<Reply> {
    let (context, mut violations) = (request.rule_context(caller.id, caller.authority()), Violations::default());
    let activity = Activity::read_new(body, account, &context, &mut violations);
    violations.check()?;
    request
        .write(caller.id, Contended::Record(account), async |connection| {
            let id = rules::record(connection, &activity, Some(caller.id)).await?;
            resource::created::<Activity>(connection, id.0, request).await
        })
        .await
}

async fn pin(id: ActivityId, caller: Caller, request: Request) -> Result<Reply> {
    set_pinned(id, true, &caller, &request).await
}

async fn unpin(id: ActivityId, caller: Caller, request: Request) -> Result<Reply> {
    set_pinned(id, false, &caller, &request).await
}

async fn set_pinned(id: ActivityId, is_pinned: bool, caller: &Caller, request: &Request) -> Result<Reply> {
    let members = [("isPinned".to_owned(), Value::Bool(is_pinned))].into_iter().collect();
    resource::edit::<Activity>(id.into(), caller, request, Patch { members, is_replacement: false }).await
}
