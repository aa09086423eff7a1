//! The addresses of single contact points and postal addresses. They belong to their customer, whose version counts their changes.

use serde::Serialize;
use uuid::Uuid;

use super::contacts::{self, AddressPatch, ContactPatch};
use super::document::{Customer, Facts};
use super::routes::edit;
use crate::api::{Reply, Request, created, json, no_content};
use crate::auth::Caller;
use crate::error::{Error, Faults, Result};
use crate::values::ids::{AddressId, ContactPointId, CustomerId};

pub(super) async fn add_contact_point(id: CustomerId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: ContactPatch = request.json().await?;
    let new = contacts::new_point();
    let part = new.id;
    let change = |facts: &mut Facts, faults: &mut Faults| {
        contacts::put_point(&mut facts.contact_points, patch, new, region(&request), faults);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| {
        added(customer, &format!("contact-points/{part}"), find(&customer.facts.contact_points, |point| point.id, part)?)
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
    let change = |facts: &mut Facts, faults: &mut Faults| {
        let point = take(&mut facts.contact_points, |point| point.id, part.0)?;
        contacts::put_point(&mut facts.contact_points, patch, point, region(&request), faults);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| {
        shown(customer, find(&customer.facts.contact_points, |point| point.id, part.0)?)
    })
    .await
}

pub(super) async fn remove_contact_point(
    id: CustomerId,
    part: ContactPointId,
    caller: Caller,
    request: Request,
) -> Result<Reply> {
    let change = |facts: &mut Facts, faults: &mut Faults| {
        take(&mut facts.contact_points, |point| point.id, part.0)?;
        contacts::settle(&mut facts.contact_points, faults);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| Ok(no_content().with_version(customer.facts.version))).await
}

pub(super) async fn add_address(id: CustomerId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: AddressPatch = request.json().await?;
    let new = contacts::new_address();
    let part = new.id;
    let change = |facts: &mut Facts, faults: &mut Faults| {
        contacts::put_address(&mut facts.addresses, patch, new, faults);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| {
        added(customer, &format!("addresses/{part}"), find(&customer.facts.addresses, |address| address.id, part)?)
    })
    .await
}

pub(super) async fn change_address(id: CustomerId, part: AddressId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: AddressPatch = request.json().await?;
    let change = |facts: &mut Facts, faults: &mut Faults| {
        let address = take(&mut facts.addresses, |address| address.id, part.0)?;
        contacts::put_address(&mut facts.addresses, patch, address, faults);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| {
        shown(customer, find(&customer.facts.addresses, |address| address.id, part.0)?)
    })
    .await
}

pub(super) async fn remove_address(id: CustomerId, part: AddressId, caller: Caller, request: Request) -> Result<Reply> {
    let change = |facts: &mut Facts, faults: &mut Faults| {
        take(&mut facts.addresses, |address| address.id, part.0)?;
        contacts::settle_addresses(&mut facts.addresses, faults);
        Ok(())
    };
    edit(id, &caller, &request, change, |customer| Ok(no_content().with_version(customer.facts.version))).await
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

fn shown(customer: &Customer, part: &impl Serialize) -> Result<Reply> {
    Ok(json(part)?.with_version(customer.facts.version))
}

fn added(customer: &Customer, address: &str, part: &impl Serialize) -> Result<Reply> {
    let location = format!("/api/v1/customers/{}/{address}", customer.facts.id);
    Ok(created(&location, part)?.with_version(customer.facts.version))
}
