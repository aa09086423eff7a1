//! The addresses of payments, also of those on an account.

use sqlx::PgConnection;
use uuid::Uuid;

use super::fields::{COLLECTION, of_account};
use super::figures::{AboutFailures, AboutStats, Failures, Stats, failures, stats};
use super::payment::{self, Payment};
use super::recording::{NewPayment, Recorded, create, create_on_account};
use super::rules;
use super::simulate::{Simulation, simulate};
use crate::api::figures::Figures;
use crate::api::{Contended, Context, Reply, Request};
use crate::app::App;
use crate::auth::Permission::{Edit, Manage, Read, Reveal};
use crate::auth::{Caller, may};
use crate::error::{Result, Violations};
use crate::features::resource::{
    self, Begun, Bulk, BulkChanged, Changes, ChangesOfMany, List, New, Page, Patch, Reason, Removal, Replacement, Resource,
    Search, Shape, View,
};
use crate::http::Routes;
use crate::operation::{NoContent, Nothing, OrJob};
use crate::routes;
use crate::search::{Collection, Terms};
use crate::values::ids::{AccountId, PaymentId, UserId};
use crate::values::json::Object;

/// The access matrix of payments.
pub fn routes(app: &App) -> Routes {
    routes! { app, "payments";
        get    ()                      may(Read)   => resource::list::<Payment>:    List<Payment> -> Page<Payment>;
        post   ()                      may(Edit)   => create:                       New<Payment> -> Recorded;
        post   ("search")              may(Read)   => resource::search::<Payment>:  Search<Payment> -> Page<Payment>;
        /// Changes many payments: those with these ids, those that a filter selects, or each in its own way.
        patch  ("batch")               may(Edit)   => resource::change_many::<Payment>: ChangesOfMany<Payment> -> OrJob<BulkChanged, Begun>;
        /// Says how much came, how much failed and how it was paid, in one currency and in each.
        get    ("stats")               may(Read)   => stats:                        AboutStats -> Figures<Stats>;
        /// Counts failed payments by their code, their method and the hour of the day.
        get    ("failures")            may(Read)   => failures:                     AboutFailures -> Figures<Failures>;
        /// Records a payment that was never made, with the outcome that is asked for; not in production.
        post   ("simulate")            may(Edit)   => simulate:                     Simulation -> Recorded;
        get    (PaymentId)             may(Read)   => resource::read::<Payment>:    Shape<Payment> -> View<Payment>;
        patch  (PaymentId)             may(Edit)   => resource::change::<Payment>:  Changes<Payment> -> Payment;
        put    (PaymentId)             may(Edit)   => resource::replace::<Payment>: Replacement<Payment> -> Payment;
        delete (PaymentId)             may(Manage) => resource::remove::<Payment>:  Removal -> NoContent;
        post   (PaymentId / "restore") may(Manage) => resource::restore::<Payment>: Nothing -> Payment;
        /// Shows one record unmasked to a caller who gets it masked; why is logged.
        post   (PaymentId / "reveal")  may(Reveal) => resource::reveal::<Payment>:  Reason -> Payment;
    }
}

/// The access matrix of an account's payments.
pub fn account_routes(app: &App) -> Routes {
    routes! { app, "accounts";
        get  (AccountId / "payments") may(Read) => list_on_account:   List<Payment> -> Page<Payment>;
        post (AccountId / "payments") may(Edit) => create_on_account: New<Payment> -> Recorded;
    }
}

impl Resource for Payment {
    type Id = PaymentId;
    type New = NewPayment;
    type Changed = ();
    const NAME: &'static str = "payment";

    fn collection() -> &'static Collection {
        &COLLECTION
    }

    fn terms(&self) -> Terms {
        self.search_terms()
    }

    async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Self>> {
        payment::select(connection, ids).await
    }

    async fn change(connection: &mut PgConnection, before: &Self, patch: Patch, context: &Context<'_>) -> Result<()> {
        rules::change(connection, before, patch, context).await
    }

    /// A payment moves the balance of its account, the one that it has or the one that it is moved to.
    async fn contended(request: &Request, id: Uuid, members: &Object) -> Result<Contended> {
        let named = members.get("accountId").and_then(|account| account.as_str()?.parse().ok());
        let account = match named {
            Some(account) => Some(account),
            None => rules::account_of(&request.app.db.read, id).await?,
        };
        Ok(Contended::Record(account.unwrap_or(id)))
    }

    async fn remove(connection: &mut PgConnection, payment: &Self, _is_forced: bool, by: Option<UserId>) -> Result<()> {
        rules::remove(connection, payment, by).await
    }
}

impl Bulk for Payment {
    const JOB: &'static str = "change_payments";

    fn check(changes: Object, context: &Context<'_>, violations: &mut Violations) {
        rules::check_changes(changes, context, violations);
    }

    /// The accounts to which they are posted.
    async fn lock_neighbours(connection: &mut PgConnection, payments: &[Self], changes: &[&Object]) -> Result<()> {
        rules::lock_payees(connection, payments, changes).await
    }
}

/// An account that does not exist has no payments; whether it exists is asked by its own address.
async fn list_on_account(id: AccountId, caller: Caller, request: Request) -> Result<Reply> {
    resource::list_part::<Payment>(&caller, &request, of_account(id)).await
}
