//! The addresses of payments, also of those on an account.

use hyper::header::HeaderName;
use schemars::JsonSchema;
use sqlx::PgConnection;
use uuid::Uuid;

use super::fields::{COLLECTION, of_account};
use super::payment::{self, Payment};
use super::rules;
use crate::api::{Contended, Context, Reply, Request, fields};
use crate::app::App;
use crate::auth::Permission::{Edit, Manage, Read, Reveal};
use crate::auth::{Caller, may};
use crate::error::{Error, Result, Violations};
use crate::features::accounts;
use crate::features::resource::{
    self, Begun, Bulk, BulkChanged, Changes, ChangesOfMany, List, New, Page, Patch, Reason, Removal, Replacement, Resource,
    Search, Shape, View,
};
use crate::http::Routes;
use crate::operation::{Answers, Created, NoContent, Nothing, Operation, OrJob};
use crate::routes;
use crate::search::{Collection, Terms};
use crate::values::ids::{AccountId, PaymentId, UserId};
use crate::values::json::Object;

const TWIN: HeaderName = HeaderName::from_static("x-possible-duplicate-of");

/// The access matrix of payments.
pub fn routes(app: &App) -> Routes {
    routes! { app, "payments";
        get    ()                      may(Read)   => resource::list::<Payment>:    List<Payment> -> Page<Payment>;
        post   ()                      may(Edit)   => create:                       New<Payment> -> Recorded;
        post   ("search")              may(Read)   => resource::search::<Payment>:  Search<Payment> -> Page<Payment>;
        /// Changes many payments: those with these ids, those that a filter selects, or each in its own way.
        patch  ("batch")               may(Edit)   => resource::change_many::<Payment>: ChangesOfMany<Payment> -> OrJob<BulkChanged, Begun>;
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

/// What a new payment needs.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["amount", "method"]))]
#[schemars(extend("examples" = [{ "amount": "29.90", "currency": "EUR", "method": "credit_card" }]))]
pub struct NewPayment {}

/// A new payment; a header names one that looks the same.
struct Recorded;

impl Answers for Recorded {
    fn describe(operation: &mut Operation<'_>) {
        Created::<Payment>::describe(operation);
        operation.headers.insert("X-Possible-Duplicate-Of");
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

async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    let mut body = request.object().await?;
    let mut violations = Violations::default();
    let account = fields::take(&mut body, "accountId", &mut violations).value();
    violations.check()?;
    record(body, account, &caller, &request).await
}

async fn create_on_account(id: AccountId, caller: Caller, mut request: Request) -> Result<Reply> {
    let mut body = request.object().await?;
    accounts::take_repeated_account(&mut body, id)?;
    record(body, Some(id.0), &caller, &request).await.map_err(accounts::unknown_in_address)
}

async fn record(body: Object, account: Option<Uuid>, caller: &Caller, request: &Request) -> Result<Reply> {
    let settings = &request.app.config.writes;
    if settings.require_idempotency && request.is_canonical() && !request.has_idempotency_key() {
        return Err(Error::malformed("idempotency_key_required", "a payment needs an Idempotency-Key header"));
    }
    let context = request.rule_context(caller.id, caller.authority());
    let contended = account.map_or(Contended::Nothing, Contended::Record);
    request
        .write(caller.id, contended, async |connection| {
            let payee = rules::lock_payee(connection, account).await?;
            if payee.is_some_and(|payee| payee.deleted_at.is_some()) {
                return Err(accounts::unknown_account());
            }
            let mut violations = Violations::default();
            let payment = Payment::read_new(body, payee.as_ref(), &context, &mut violations);
            violations.check()?;
            let id = rules::record(connection, &payment, Some(caller.id)).await?;
            let twin = rules::find_twin(connection, &payment).await?;
            let reply = resource::created::<Payment>(connection, id.0, request).await?;
            Ok(match twin {
                Some(twin) => reply.with(TWIN, &twin.to_string()),
                None => reply,
            })
        })
        .await
}
