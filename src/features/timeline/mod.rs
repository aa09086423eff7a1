//! Timelines: all that happened to an account, or to a customer, in one stream, the newest first.
//!
//! Nothing is copied. Each source is read by an index in the order of the stream, as far as one page may need, and the page is
//! what comes first of all of them.

mod asked;
mod change;
mod kind;
mod page;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::api::{Reply, Request, json};
use crate::app::App;
use crate::auth::Permission::Read;
use crate::auth::{Caller, may};
use crate::error::{Error, Result};
use crate::features::accounts::Account;
use crate::features::customers::Customer;
use crate::features::resource::{self, Resource};
use crate::http::Routes;
use crate::routes;
use crate::values::ids::{AccountId, CustomerId};

use asked::{Asked, Parameters};
use page::Entry;

/// The access matrix of the timelines of accounts.
pub fn account_routes(app: &App) -> Routes {
    routes! { app, "accounts";
        /// Lists what happened to an account and was changed of it and its customer, the newest first.
        get (AccountId / "timeline") may(Read) => of_account: Parameters -> Timeline;
    }
}

/// The access matrix of the timelines of customers.
pub fn customer_routes(app: &App) -> Routes {
    routes! { app, "customers";
        /// Lists what happened to a customer's accounts and was changed of them and of the customer, the newest first.
        get (CustomerId / "timeline") may(Read) => of_customer: Parameters -> Timeline;
    }
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TimelinePage")]
struct Timeline {
    data: Vec<Entry>,
    limit: u32,
    next_cursor: Option<String>,
}

/// Whose stream it is.
struct Subject {
    accounts: Vec<Uuid>,
    customer: Uuid,
}

async fn of_account(id: AccountId, _caller: Caller, request: Request) -> Result<Reply> {
    answer(&request, id.0, async |connection| {
        let account: Account = existing(connection, id.0).await?;
        Ok(Subject { accounts: vec![id.0], customer: account.customer_id })
    })
    .await
}

async fn of_customer(id: CustomerId, _caller: Caller, request: Request) -> Result<Reply> {
    answer(&request, id.0, async |connection| {
        existing::<Customer>(connection, id.0).await?;
        let accounts = sqlx::query_scalar!("select id from accounts where customer_id = $1 and deleted_at is null", id.0);
        Ok(Subject { accounts: accounts.fetch_all(connection).await?, customer: id.0 })
    })
    .await
}

/// Reads a record that is not deleted.
async fn existing<R: Resource>(connection: &mut PgConnection, id: Uuid) -> Result<R> {
    let record: R = resource::find(connection, id).await?;
    if record.locked().deleted_at.is_some() { Err(Error::NotFound(R::NAME)) } else { Ok(record) }
}

async fn answer(request: &Request, id: Uuid, subject: impl AsyncFnOnce(&mut PgConnection) -> Result<Subject>) -> Result<Reply> {
    let asked = Asked::read(request)?;
    let mut snapshot = request.snapshot().await?;
    let subject = subject(&mut snapshot).await?;
    let mut rows = page::rows(&mut snapshot, &subject, &asked).await?;
    let has_more = rows.len() > asked.limit as usize;
    rows.truncate(asked.limit as usize);
    let next_cursor = rows.last().filter(|_| has_more).map(|last| asked.cursor(request, last.place())).transpose()?;
    let data = page::entries(&mut snapshot, rows, request).await?;
    request.log_read("timeline", id);
    json(&Timeline { data, limit: asked.limit, next_cursor })
}
