//! The addresses of payments, also of those on an account.

use hyper::header::HeaderName;
use sqlx::PgConnection;

use super::document::Payment;
use super::fields::{self, COLLECTION};
use super::patch::{Patch, Terms};
use super::store::{self, Locked, Payee};
use super::{posting, status};
use crate::api::{Record, Reply, Request, created, json, no_content, paging};
use crate::app::App;
use crate::auth::Permission::{Edit, Manage, Read};
use crate::auth::{Caller, may};
use crate::error::{Error, Faults, Result};
use crate::http::Routes;
use crate::routes;
use crate::validate::Change;
use crate::values::ids::{AccountId, PaymentId};

const TWIN: HeaderName = HeaderName::from_static("x-possible-duplicate-of");

/// The access matrix of payments.
pub fn routes(app: &App) -> Routes {
    routes! { app, "payments";
        get    ()                      may(Read)   => list;
        post   ()                      may(Edit)   => create;
        get    (PaymentId)             may(Read)   => read;
        patch  (PaymentId)             may(Edit)   => change;
        put    (PaymentId)             may(Edit)   => replace;
        delete (PaymentId)             may(Manage) => remove;
        post   (PaymentId / "restore") may(Manage) => restore;
    }
}

/// The access matrix of an account's payments.
pub fn account_routes(app: &App) -> Routes {
    routes! { app, "accounts";
        get  (AccountId / "payments") may(Read) => list_on_account;
        post (AccountId / "payments") may(Edit) => create_on_account;
    }
}

async fn list(_: Caller, request: Request) -> Result<Reply> {
    paging::list(&request, &COLLECTION, |document| Payment::parse(document)?.view()).await
}

/// An account that does not exist has no payments; whether it exists is asked by its own address.
async fn list_on_account(id: AccountId, _: Caller, request: Request) -> Result<Reply> {
    paging::list_within(&request, &COLLECTION, fields::of_account(id), |document| Payment::parse(document)?.view()).await
}

async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: Patch = request.json().await?;
    record(patch, &caller, &request).await
}

async fn create_on_account(id: AccountId, caller: Caller, mut request: Request) -> Result<Reply> {
    let mut patch: Patch = request.json().await?;
    match patch.account_id {
        Change::To(other) if other != Some(id) => {
            return Err(Error::invalid("/accountId", "conflicting", "is another account than the address names"));
        }
        _ => patch.account_id = Change::new(id),
    }
    // The account is the address here, so one that does not exist is not a fault of the body.
    record(patch, &caller, &request).await.map_err(|error| match error {
        Error::Invalid(faults) if faults.iter().any(|fault| fault.code == "unknown_account") => Error::NotFound("account"),
        error => error,
    })
}

async fn record(patch: Patch, caller: &Caller, request: &Request) -> Result<Reply> {
    let settings = &request.app.config.writes;
    if settings.require_idempotency && request.is_canonical() && !request.has_idempotency_key() {
        return Err(Error::malformed("idempotency_key_required", "a payment needs an Idempotency-Key header"));
    }
    request
        .write(caller.id, async |connection| {
            let payee = payee(connection, patch.account_id.clone().value()).await?;
            if payee.as_ref().is_some_and(|payee| payee.deleted_at.is_some()) {
                return Err(store::unknown_account());
            }
            let mut faults = Faults::default();
            let payment = patch.create(&terms(request, payee.as_ref()), &mut faults);
            faults.check()?;
            posting::record(connection, &payment, Some(caller.id)).await?;
            let twin = store::find_twin(connection, &payment).await?;
            let id = PaymentId(payment.facts.id);
            let payment = store::read(connection, id).await?.ok_or(Error::NotFound("payment"))?;
            let view = payment.view().map_err(Error::internal)?;
            let reply = created(&format!("/api/v1/payments/{id}"), &view)?.with_version(payment.facts.version);
            Ok(match twin {
                Some(twin) => reply.with(TWIN, &twin.to_string()),
                None => reply,
            })
        })
        .await
}

async fn read(id: PaymentId, _: Caller, request: Request) -> Result<Reply> {
    let read = async |connection: &mut PgConnection| {
        let Some(payment) = store::read(connection, id).await? else { return Ok(None) };
        Ok(Some(Record { reply: answer(&payment)?, is_deleted: payment.facts.deleted_at.is_some() }))
    };
    request.record("payment", read).await
}

async fn change(id: PaymentId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: Patch = request.json().await?;
    edit(id, &caller, &request, patch, Payment::clone).await
}

/// Replaces all that a client may say, but for its state; clients of the older address mean a change.
async fn replace(id: PaymentId, caller: Caller, mut request: Request) -> Result<Reply> {
    let patch: Patch = request.json().await?;
    let base = if request.is_canonical() { Payment::cleared } else { Payment::clone };
    edit(id, &caller, &request, patch, base).await
}

async fn remove(id: PaymentId, caller: Caller, request: Request) -> Result<Reply> {
    request
        .write(caller.id, async |connection| {
            request.expect_version(live(store::lock(connection, id).await?)?.version)?;
            let payment = store::read(connection, id).await?.ok_or(Error::NotFound("payment"))?;
            if payment.facts.status == "success" {
                return Err(Error::conflict("payment_settled", "money that came is not deleted; refund or reverse it"));
            }
            store::remove(connection, id, caller.id).await?;
            Ok(no_content())
        })
        .await
}

async fn restore(id: PaymentId, caller: Caller, request: Request) -> Result<Reply> {
    request
        .write(caller.id, async |connection| {
            let locked = store::lock(connection, id).await?.ok_or(Error::NotFound("payment"))?;
            if locked.deleted_at.is_some() {
                store::restore(connection, id, caller.id).await?;
            }
            answer(&store::read(connection, id).await?.ok_or(Error::NotFound("payment"))?)
        })
        .await
}

/// Locks a payment and the account that it will pay, applies the patch to the base that is made of what is there now, and writes and
/// posts what came of it.
async fn edit(id: PaymentId, caller: &Caller, request: &Request, patch: Patch, base: fn(&Payment) -> Payment) -> Result<Reply> {
    request
        .write(caller.id, async |connection| {
            request.expect_version(live(store::lock(connection, id).await?)?.version)?;
            let before = store::read(connection, id).await?.ok_or(Error::NotFound("payment"))?;
            let mut after = base(&before);
            let mut account = after.facts.account_id.map(AccountId);
            patch.account_id.clone().apply(&mut account);
            let payee = payee(connection, account).await?;
            if payee.as_ref().is_some_and(|payee| payee.deleted_at.is_some()) {
                return Err(Error::conflict("account_deleted", "the payment's account is deleted; restore the account first"));
            }
            let mut faults = Faults::default();
            patch.apply(&mut after, &terms(request, payee.as_ref()), &mut faults);
            faults.check()?;
            status::step(&before.facts.status, &after.facts.status)?;
            guard_history(&before, &after)?;
            store::update(connection, &after, caller.id).await?;
            posting::post(connection, Some(&before), &after, Some(caller.id)).await?;
            answer(&store::read(connection, id).await?.ok_or(Error::NotFound("payment"))?)
        })
        .await
}

/// Once the money came, its amount is history; it can still be allocated, once.
fn guard_history(before: &Payment, after: &Payment) -> Result<()> {
    if !status::is_settled(&before.facts.status) {
        return Ok(());
    }
    let is_same_money = before.amount == after.amount
        && before.facts.currency == after.facts.currency
        && before.facts.received_at == after.facts.received_at;
    let is_allocated_anew = before.facts.account_id != after.facts.account_id
        && (before.facts.account_id.is_some() || before.facts.status != "success");
    if is_same_money && !is_allocated_anew {
        return Ok(());
    }
    Err(Error::conflict(
        "payment_settled",
        "the amount, the time and the account of money that came do not change; refund or reverse it",
    ))
}

async fn payee(connection: &mut PgConnection, account: Option<AccountId>) -> Result<Option<Payee>> {
    let Some(account) = account else { return Ok(None) };
    store::lock_account(connection, account).await?.ok_or_else(store::unknown_account).map(Some)
}

fn terms<'a>(request: &Request, payee: Option<&'a Payee>) -> Terms<'a> {
    let config = &request.app.config;
    Terms { payee, currency: config.default_currency, most: config.writes.payment_max, now: request.app.clock.now() }
}

fn live(locked: Option<Locked>) -> Result<Locked> {
    locked.filter(|locked| locked.deleted_at.is_none()).ok_or(Error::NotFound("payment"))
}

fn answer(payment: &Payment) -> Result<Reply> {
    Ok(json(&payment.view().map_err(Error::internal)?)?.with_version(payment.facts.version))
}
