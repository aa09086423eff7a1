//! The addresses of accounts.

use sqlx::PgConnection;

use super::document::Account;
use super::fields::COLLECTION;
use super::ledger;
use super::patch::Patch;
use super::store::{self, Locked};
use crate::api::{Record, Reply, Request, created, json, no_content, paging};
use crate::app::App;
use crate::auth::Permission::{Edit, Manage, Read};
use crate::auth::{Caller, may};
use crate::error::{Error, Faults, Result};
use crate::features::customers;
use crate::http::Routes;
use crate::routes;
use crate::values::ids::{AccountId, CustomerId};

/// The access matrix of accounts.
pub fn routes(app: &App) -> Routes {
    routes! { app, "accounts";
        get    ()                      may(Read)   => list;
        post   ()                      may(Edit)   => create;
        get    (AccountId)             may(Read)   => read;
        patch  (AccountId)             may(Edit)   => change;
        put    (AccountId)             may(Edit)   => replace;
        delete (AccountId)             may(Manage) => remove;
        post   (AccountId / "restore") may(Manage) => restore;
        get    (AccountId / "ledger")  may(Read)   => ledger::list;
        post   (AccountId / "ledger")  may(Manage) => ledger::post;
    }
}

async fn list(_: Caller, request: Request) -> Result<Reply> {
    let today = request.app.clock.today();
    paging::list(&request, &COLLECTION, |document| Account::parse(document)?.view(today)).await
}

async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: Patch = request.json().await?;
    let config = &request.app.config;
    let today = request.app.clock.today();
    let mut faults = Faults::default();
    let (mut account, owner) = patch.open(config.default_currency, &mut faults);
    let owner = owner.map(|patch| {
        let mut within = Faults::default();
        let owner = patch.create(today, &config.default_region, &mut within);
        faults.nest("/customer", within);
        owner
    });
    faults.check()?;
    if let Some(owner) = &owner {
        account.facts.customer_id = owner.id;
    }
    let id = AccountId(account.facts.id);
    request
        .write(caller.id, async |connection| {
            match &owner {
                Some(owner) => {
                    let inserted = customers::store::insert(connection, owner, Some(caller.id)).await;
                    inserted.map_err(|error| error.within("/customer"))?;
                }
                None => hold(connection, &account).await?,
            }
            store::insert(connection, &account, Some(caller.id)).await?;
            let account = store::read(connection, id).await?.ok_or(Error::NotFound("account"))?;
            let view = account.view(today).map_err(Error::internal)?;
            Ok(created(&format!("/api/v1/accounts/{id}"), &view)?.with_version(account.facts.version))
        })
        .await
}

async fn read(id: AccountId, _: Caller, request: Request) -> Result<Reply> {
    let read = async |connection: &mut PgConnection| {
        let Some(account) = store::read(connection, id).await? else { return Ok(None) };
        Ok(Some(Record { reply: answer(&account, &request)?, is_deleted: account.facts.deleted_at.is_some() }))
    };
    request.record("account", read).await
}

async fn change(id: AccountId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: Patch = request.json().await?;
    edit(id, &caller, &request, |account, faults| patch.apply(account, faults)).await
}

/// Replaces all that a client may say, but for what every account keeps; clients of the older address mean a change.
async fn replace(id: AccountId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: Patch = request.json().await?;
    edit(id, &caller, &request, |account, faults| {
        if request.is_canonical() {
            account.clear();
        }
        patch.apply(account, faults);
    })
    .await
}

async fn remove(id: AccountId, caller: Caller, request: Request) -> Result<Reply> {
    request
        .write(caller.id, async |connection| {
            request.expect_version(live(store::lock(connection, id).await?)?.version)?;
            store::remove(connection, id, caller.id).await?;
            Ok(no_content())
        })
        .await
}

async fn restore(id: AccountId, caller: Caller, request: Request) -> Result<Reply> {
    request
        .write(caller.id, async |connection| {
            let locked = store::lock(connection, id).await?.ok_or(Error::NotFound("account"))?;
            let account = store::read(connection, id).await?.ok_or(Error::NotFound("account"))?;
            if locked.deleted_at.is_none() {
                return answer(&account, &request);
            }
            if !store::hold_customer(connection, CustomerId(account.facts.customer_id)).await? {
                return Err(Error::conflict("customer_deleted", "the account's customer is deleted; restore the customer first"));
            }
            store::restore(connection, id, caller.id).await?;
            answer(&store::read(connection, id).await?.ok_or(Error::NotFound("account"))?, &request)
        })
        .await
}

/// Locks an account, compares its version, lets the edit run on what is there now, and writes what came of it.
async fn edit(id: AccountId, caller: &Caller, request: &Request, edit: impl FnOnce(&mut Account, &mut Faults)) -> Result<Reply> {
    request
        .write(caller.id, async |connection| {
            request.expect_version(live(store::lock(connection, id).await?)?.version)?;
            let mut account = store::read(connection, id).await?.ok_or(Error::NotFound("account"))?;
            let owner = account.facts.customer_id;
            let mut faults = Faults::default();
            edit(&mut account, &mut faults);
            faults.check()?;
            if account.facts.customer_id != owner {
                hold(connection, &account).await?;
            }
            store::update(connection, &account, caller.id).await?;
            answer(&store::read(connection, id).await?.ok_or(Error::NotFound("account"))?, request)
        })
        .await
}

async fn hold(connection: &mut PgConnection, account: &Account) -> Result<()> {
    let held = store::hold_customer(connection, CustomerId(account.facts.customer_id)).await?;
    if held { Ok(()) } else { Err(store::unknown_customer()) }
}

/// An account that is not deleted.
pub(super) fn live(locked: Option<Locked>) -> Result<Locked> {
    locked.filter(|locked| locked.deleted_at.is_none()).ok_or(Error::NotFound("account"))
}

fn answer(account: &Account, request: &Request) -> Result<Reply> {
    let view = account.view(request.app.clock.today()).map_err(Error::internal)?;
    Ok(json(&view)?.with_version(account.facts.version))
}
