//! The addresses of customers.

use sqlx::PgConnection;
use uuid::Uuid;

use super::customer::{self, Customer};
use super::fields::COLLECTION;
use super::parts;
use super::rules::{self, Debt};
use crate::api::{Contended, Context, Reply, Request};
use crate::app::App;
use crate::auth::Permission::{Edit, Manage, Read, Reveal};
use crate::auth::{Caller, may};
use crate::error::{Result, Violations};
use crate::features::resource::{self, Patch, Resource};
use crate::http::Routes;
use crate::routes;
use crate::search::{Collection, Terms};
use crate::values::ids::{AddressId, ContactPointId, CustomerId, UserId};

/// The access matrix of customers.
pub fn routes(app: &App) -> Routes {
    routes! { app, "customers";
        get    ()                       may(Read)   => resource::list::<Customer>;
        post   ()                       may(Edit)   => create;
        post   ("search")               may(Read)   => resource::search::<Customer>;
        get    (CustomerId)             may(Read)   => resource::read::<Customer>;
        patch  (CustomerId)             may(Edit)   => resource::change::<Customer>;
        put    (CustomerId)             may(Edit)   => resource::replace::<Customer>;
        delete (CustomerId)             may(Manage) => resource::remove::<Customer>;
        post   (CustomerId / "restore") may(Manage) => resource::restore::<Customer>;
        post   (CustomerId / "reveal")  may(Reveal) => resource::reveal::<Customer>;
        post   (CustomerId / "contact-points")                  may(Edit) => parts::add_contact_point;
        patch  (CustomerId / "contact-points" / ContactPointId) may(Edit) => parts::change_contact_point;
        delete (CustomerId / "contact-points" / ContactPointId) may(Edit) => parts::remove_contact_point;
        post   (CustomerId / "addresses")                       may(Edit) => parts::add_address;
        patch  (CustomerId / "addresses" / AddressId)           may(Edit) => parts::change_address;
        delete (CustomerId / "addresses" / AddressId)           may(Edit) => parts::remove_address;
    }
}

impl Resource for Customer {
    type Id = CustomerId;
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
