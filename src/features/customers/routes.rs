//! The addresses of customers.

use sqlx::PgConnection;
use uuid::Uuid;

use super::contacts::{AddressPatch, ContactPatch};
use super::customer::{self, Address, ContactPoint, Customer};
use super::fields::COLLECTION;
use super::parts;
use super::requests::{Contacts, NewCustomer};
use super::rules::{self, Debt};
use crate::api::{Contended, Context, Reply, Request};
use crate::app::App;
use crate::auth::Permission::{Edit, Manage, Read, Reveal};
use crate::auth::{Caller, may};
use crate::error::{Result, Violations};
use crate::features::resource::{
    self, Begun, BulkChanged, Changes, ChangesOfMany, List, New, Page, Patch, Reason, Removal, Replacement, Resource, Search,
    Shape, View,
};
use crate::http::Routes;
use crate::operation::{Created, NoContent, Nothing, OrJob, Part};
use crate::routes;
use crate::search::{Collection, Terms};
use crate::values::ids::{AddressId, ContactPointId, CustomerId, UserId};

/// The access matrix of customers.
pub fn routes(app: &App) -> Routes {
    routes! { app, "customers";
        get    ()                       may(Read)   => resource::list::<Customer>:    List<Customer> -> Page<Customer>;
        post   ()                       may(Edit)   => create:                        New<Customer> -> Created<Customer>;
        post   ("search")               may(Read)   => resource::search::<Customer>:  Search<Customer> -> Page<Customer>;
        /// Changes many customers: those with these ids, those that a filter selects, or each in its own way.
        patch  ("batch")                may(Edit)   => resource::change_many::<Customer>: ChangesOfMany<Customer> -> OrJob<BulkChanged, Begun>;
        get    (CustomerId)             may(Read)   => resource::read::<Customer>:    Shape<Customer> -> View<Customer>;
        patch  (CustomerId)             may(Edit)   => resource::change::<Customer>:  Changes<Customer> -> Customer;
        put    (CustomerId)             may(Edit)   => resource::replace::<Customer>: Replacement<Customer> -> Customer;
        delete (CustomerId)             may(Manage) => resource::remove::<Customer>:  Removal -> NoContent;
        post   (CustomerId / "restore") may(Manage) => resource::restore::<Customer>: Nothing -> Customer;
        /// Shows one record unmasked to a caller who gets it masked; why is logged.
        post   (CustomerId / "reveal")  may(Reveal) => resource::reveal::<Customer>:  Reason -> Customer;
        post   (CustomerId / "contact-points") may(Edit) => parts::add_contact_point: ContactPatch -> Created<Part<ContactPoint>>;
        patch  (CustomerId / "contact-points" / ContactPointId)
                                               may(Edit) => parts::change_contact_point: ContactPatch -> Part<ContactPoint>;
        delete (CustomerId / "contact-points" / ContactPointId)
                                               may(Edit) => parts::remove_contact_point: Nothing -> Part<NoContent>;
        post   (CustomerId / "addresses")      may(Edit) => parts::add_address: AddressPatch -> Created<Part<Address>>;
        patch  (CustomerId / "addresses" / AddressId)
                                               may(Edit) => parts::change_address: AddressPatch -> Part<Address>;
        delete (CustomerId / "addresses" / AddressId)
                                               may(Edit) => parts::remove_address: Nothing -> Part<NoContent>;
    }
}

impl Resource for Customer {
    type Id = CustomerId;
    type New = NewCustomer;
    type Changed = Contacts;
    const NAME: &'static str = "customer";

    fn collection() -> &'static Collection {
        &COLLECTION
    }

    fn terms(&self) -> Terms {
        self.search_terms()
    }

    async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Self>> {
        customer::select(connection, ids).await
    }

    async fn change(connection: &mut PgConnection, before: &Self, patch: Patch, context: &Context<'_>) -> Result<()> {
        rules::change(connection, before, patch, context).await
    }

    async fn remove(connection: &mut PgConnection, customer: &Self, is_forced: bool, by: Option<UserId>) -> Result<()> {
        rules::remove(connection, customer.id, is_forced, by).await
    }

    async fn restore(connection: &mut PgConnection, customer: &Self, by: Option<UserId>) -> Result<()> {
        rules::restore(connection, customer.id, customer.deleted_at.unwrap_or_default(), by).await
    }
}

async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    let mut body = request.object().await?;
    let context = request.rule_context(caller.id, caller.authority());
    let mut violations = Violations::default();
    let debt = Debt::take(&mut body, context.currency, &mut violations);
    let customer = Customer::read_new(body, &context, &mut violations);
    violations.check()?;
    request
        .write(caller.id, Contended::Nothing, async |connection| {
            rules::create(connection, &customer, debt.as_ref(), &context).await?;
            resource::created::<Customer>(connection, customer.id, &request).await
        })
        .await
}
