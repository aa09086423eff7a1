//! The addresses of single contact points and postal addresses. They belong to their customer, whose version counts their changes.

use hyper::StatusCode;
use hyper::header::LOCATION;
use serde::Serialize;
use uuid::Uuid;

use super::contacts::{self, AddressPatch, ContactPatch};
use super::customer::Customer;
use super::rules;
use crate::api::{Contended, Reply, Request, json, no_content};
use crate::auth::Caller;
use crate::error::{Error, Result, Violations};
use crate::features::resource;
use crate::search::masking::masked_part;
use crate::values::ids::{AddressId, ContactPointId, CustomerId};
use crate::values::personal::{Disclosure, MASK};

pub(super) async fn add_contact_point(id: CustomerId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: ContactPatch = request.json().await?;
    let new = contacts::new_point();
    let part = new.id;
    let change = |customer: &mut Customer, violations: &mut Violations| {
        contacts::put_point(&mut customer.contact_points, patch, new, region(&request), violations);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| {
        added(&request, customer, &format!("contact-points/{part}"), find(&customer.contact_points, |point| point.id, part)?)
    })
    .await
}

pub(super) async fn change_contact_point(
    id: CustomerId,
    part: ContactPointId,
    caller: Caller,
    mut request: Request,
) -> Result<Reply> {
    let patch: ContactPatch = request.json().await?;
    let change = |customer: &mut Customer, violations: &mut Violations| {
        let point = take(&mut customer.contact_points, |point| point.id, part.0)?;
        contacts::put_point(&mut customer.contact_points, patch, point, region(&request), violations);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| {
        shown(&request, customer, find(&customer.contact_points, |point| point.id, part.0)?)
    })
    .await
}

pub(super) async fn remove_contact_point(
    id: CustomerId,
    part: ContactPointId,
    caller: Caller,
    request: Request,
) -> Result<Reply> {
    let change = |customer: &mut Customer, violations: &mut Violations| {
        take(&mut customer.contact_points, |point| point.id, part.0)?;
        contacts::validate_points(&mut customer.contact_points, violations);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| Ok(no_content().with_version(customer.version))).await
}

pub(super) async fn add_address(id: CustomerId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: AddressPatch = request.json().await?;
    let new = contacts::new_address();
    let part = new.id;
    let change = |customer: &mut Customer, violations: &mut Violations| {
        contacts::put_address(&mut customer.addresses, patch, new, violations);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| {
        added(&request, customer, &format!("addresses/{part}"), find(&customer.addresses, |address| address.id, part)?)
    })
    .await
}

pub(super) async fn change_address(id: CustomerId, part: AddressId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: AddressPatch = request.json().await?;
    let change = |customer: &mut Customer, violations: &mut Violations| {
        let address = take(&mut customer.addresses, |address| address.id, part.0)?;
        contacts::put_address(&mut customer.addresses, patch, address, violations);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| {
        shown(&request, customer, find(&customer.addresses, |address| address.id, part.0)?)
    })
    .await
}

pub(super) async fn remove_address(id: CustomerId, part: AddressId, caller: Caller, request: Request) -> Result<Reply> {
    let change = |customer: &mut Customer, violations: &mut Violations| {
        take(&mut customer.addresses, |address| address.id, part.0)?;
        contacts::validate_addresses(&mut customer.addresses, violations);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| Ok(no_content().with_version(customer.version))).await
}

/// Locks a customer, lets the change run on it, writes what came of it and shows it.
async fn edit(
    id: CustomerId,
    caller: &Caller,
    request: &Request,
    change: impl FnOnce(&mut Customer, &mut Violations) -> Result<()>,
    show: impl FnOnce(&Customer) -> Result<Reply>,
) -> Result<Reply> {
    request
        .write(caller.id, Contended::Record(id.0), async |connection| {
            request.expect_version(resource::lock::<Customer>(connection, id.0).await?.version)?;
            let before: Customer = resource::find(connection, id.0).await?;
            let (mut after, mut violations) = (before.clone(), Violations::default());
            change(&mut after, &mut violations)?;
            violations.check()?;
            refuse_mask(&after)?;
            rules::update(connection, &before, &after, Some(caller.id)).await?;
            show(&resource::find(connection, id.0).await?)
        })
        .await
}

/// Refuses what a caller sends back as it was masked.
fn refuse_mask(customer: &Customer) -> Result<()> {
    let parts = serde_json::to_string(&(&customer.contact_points, &customer.addresses)).map_err(Error::internal)?;
    if parts.contains(MASK) { Err(Error::invalid("", "masked", "a mask is not stored")) } else { Ok(()) }
}

fn region(request: &Request) -> &str {
    &request.app.config.default_region
}

fn find<T>(parts: &[T], of: fn(&T) -> Uuid, id: Uuid) -> Result<&T> {
    parts.iter().find(|part| of(part) == id).ok_or(Error::NotFound("entry"))
}

fn take<T>(parts: &mut Vec<T>, of: fn(&T) -> Uuid, id: Uuid) -> Result<T> {
    let at = parts.iter().position(|part| of(part) == id).ok_or(Error::NotFound("entry"))?;
    Ok(parts.remove(at))
}

fn shown(request: &Request, customer: &Customer, part: &impl Serialize) -> Result<Reply> {
    let reply = match request.context.disclosure() {
        Disclosure::Full => json(part)?,
        Disclosure::Masked => json(&masked_part(part).map_err(Error::internal)?)?,
    };
    Ok(reply.with_version(customer.version))
}

fn added(request: &Request, customer: &Customer, address: &str, part: &impl Serialize) -> Result<Reply> {
    let location = format!("/api/v1/customers/{}/{address}", customer.id);
    Ok(shown(request, customer, part)?.with(LOCATION, &location).with_status(StatusCode::CREATED))
}
