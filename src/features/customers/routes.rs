//! The addresses of customers.

use sqlx::PgConnection;

use super::document::{Customer, Facts};
use super::fields::COLLECTION;
use super::parts;
use super::patch::Patch;
use super::store::{self, Locked};
use crate::api::{Record, Reply, Request, created, json, no_content, paging};
use crate::app::App;
use crate::auth::Permission::{Edit, Manage, Read};
use crate::auth::{Caller, may};
use crate::error::{Error, Faults, Result};
use crate::http::Routes;
use crate::routes;
use crate::values::ids::{AddressId, ContactPointId, CustomerId};

/// The access matrix of customers.
pub fn routes(app: &App) -> Routes {
    routes! { app, "customers";
        get    ()                       may(Read)   => list;
        post   ()                       may(Edit)   => create;
        get    (CustomerId)             may(Read)   => read;
        patch  (CustomerId)             may(Edit)   => change;
        put    (CustomerId)             may(Edit)   => replace;
        delete (CustomerId)             may(Manage) => remove;
        post   (CustomerId / "restore") may(Manage) => restore;
        post   (CustomerId / "contact-points")                  may(Edit) => parts::add_contact_point;
        patch  (CustomerId / "contact-points" / ContactPointId) may(Edit) => parts::change_contact_point;
        delete (CustomerId / "contact-points" / ContactPointId) may(Edit) => parts::remove_contact_point;
        post   (CustomerId / "addresses")                       may(Edit) => parts::add_address;
        patch  (CustomerId / "addresses" / AddressId)           may(Edit) => parts::change_address;
        delete (CustomerId / "addresses" / AddressId)           may(Edit) => parts::remove_address;
    }
}

async fn list(_: Caller, request: Request) -> Result<Reply> {
    paging::list(&request, &COLLECTION, |document| Customer::parse(document)?.view()).await
}

async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    let mut patch: Patch = request.json().await?;
    let mut faults = Faults::default();
    let config = &request.app.config;
    let debt = patch.take_debt(config.default_currency, &mut faults);
    let facts = patch.create(request.app.clock.today(), &config.default_region, &mut faults);
    faults.check()?;
    let id = CustomerId(facts.id);
    request
        .write(caller.id, async |connection| {
            store::insert(connection, &facts, Some(caller.id)).await?;
            if let Some(debt) = &debt {
                store::open_account(connection, id, debt, Some(caller.id)).await?;
            }
            let customer = store::read(connection, id).await?.ok_or(Error::NotFound("customer"))?;
            let view = customer.view().map_err(Error::internal)?;
            Ok(created(&format!("/api/v1/customers/{id}"), &view)?.with_version(customer.facts.version))
        })
        .await
}

async fn read(id: CustomerId, _: Caller, request: Request) -> Result<Reply> {
    let read = async |connection: &mut PgConnection| {
        let Some(customer) = store::read(connection, id).await? else { return Ok(None) };
        Ok(Some(Record { reply: answer(&customer)?, is_deleted: customer.facts.deleted_at.is_some() }))
    };
    request.record("customer", read).await
}

async fn change(id: CustomerId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: Patch = request.json().await?;
    let change = |facts: &mut Facts, faults: &mut Faults| {
        apply(patch, facts, &request.app, faults);
        Ok(())
    };
    edit(id, &caller, &request, change, answer).await
}

/// Replaces all that a client may say; clients of the older address mean a change.
async fn replace(id: CustomerId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: Patch = request.json().await?;
    let change = |facts: &mut Facts, faults: &mut Faults| {
        if request.is_canonical() {
            facts.clear();
            apply(patch.whole(), facts, &request.app, faults);
        } else {
            apply(patch, facts, &request.app, faults);
        }
        Ok(())
    };
    edit(id, &caller, &request, change, answer).await
}

async fn remove(id: CustomerId, caller: Caller, request: Request) -> Result<Reply> {
    request
        .write(caller.id, async |connection| {
            store::lock_accounts(connection, id).await?;
            let locked = live(store::lock(connection, id).await?)?;
            request.expect_version(locked.version)?;
            store::remove(connection, id, caller.id).await?;
            Ok(no_content())
        })
        .await
}

async fn restore(id: CustomerId, caller: Caller, request: Request) -> Result<Reply> {
    request
        .write(caller.id, async |connection| {
            store::lock_accounts(connection, id).await?;
            let locked = store::lock(connection, id).await?.ok_or(Error::NotFound("customer"))?;
            if let Some(deleted_at) = locked.deleted_at {
                store::restore(connection, id, deleted_at, caller.id).await?;
            }
            answer(&store::read(connection, id).await?.ok_or(Error::NotFound("customer"))?)
        })
        .await
}

/// Locks a customer, compares its version, lets the change run on what is there now, writes what came of it and shows it.
pub(super) async fn edit(
    id: CustomerId,
    caller: &Caller,
    request: &Request,
    change: impl FnOnce(&mut Facts, &mut Faults) -> Result<()>,
    show: impl FnOnce(&Customer) -> Result<Reply>,
) -> Result<Reply> {
    request
        .write(caller.id, async |connection| {
            let locked = live(store::lock(connection, id).await?)?;
            request.expect_version(locked.version)?;
            let customer = store::read(connection, id).await?.ok_or(Error::NotFound("customer"))?;
            let mut facts = customer.facts.clone();
            let mut faults = Faults::default();
            change(&mut facts, &mut faults)?;
            faults.check()?;
            if facts == customer.facts {
                return show(&customer);
            }
            store::update(connection, &customer.facts, &facts, caller.id).await?;
            show(&store::read(connection, id).await?.ok_or(Error::NotFound("customer"))?)
        })
        .await
}

fn apply(patch: Patch, facts: &mut Facts, app: &App, faults: &mut Faults) {
    patch.apply(facts, app.clock.today(), &app.config.default_region, faults);
}

fn live(locked: Option<Locked>) -> Result<Locked> {
    locked.filter(|locked| locked.deleted_at.is_none()).ok_or(Error::NotFound("customer"))
}

fn answer(customer: &Customer) -> Result<Reply> {
    Ok(json(&customer.view().map_err(Error::internal)?)?.with_version(customer.facts.version))
}
