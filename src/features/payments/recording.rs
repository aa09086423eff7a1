//! New payments: read, recorded and answered, with a warning where one was perhaps sent twice.

use hyper::header::HeaderName;
use schemars::JsonSchema;
use uuid::Uuid;

use super::payment::Payment;
use super::rules;
use crate::api::{Contended, Reply, Request, fields};
use crate::auth::Caller;
use crate::error::{Error, Result, Violations};
use crate::features::accounts;
use crate::features::resource;
use crate::operation::{Answers, Created, Operation};
use crate::values::ids::AccountId;
use crate::values::json::Object;

const TWIN: HeaderName = HeaderName::from_static("x-possible-duplicate-of");

/// What a new payment needs.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["amount", "method"]))]
#[schemars(extend("examples" = [{ "amount": "29.90", "currency": "EUR", "method": "credit_card" }]))]
pub struct NewPayment {}

/// A new payment; a header names one that looks the same.
pub(super) struct Recorded;

impl Answers for Recorded {
    fn describe(operation: &mut Operation<'_>) {
        Created::<Payment>::describe(operation);
        operation.headers.insert("X-Possible-Duplicate-Of");
    }
}

pub(super) async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    let mut body = request.object().await?;
    let mut violations = Violations::default();
    let account = fields::take(&mut body, "accountId", &mut violations).value();
    violations.check()?;
    record(body, account, &caller, &request).await
}

pub(super) async fn create_on_account(id: AccountId, caller: Caller, mut request: Request) -> Result<Reply> {
    let mut body = request.object().await?;
    accounts::take_repeated_account(&mut body, id)?;
    record(body, Some(id.0), &caller, &request).await.map_err(accounts::unknown_in_address)
}

pub(super) async fn record(body: Object, account: Option<Uuid>, caller: &Caller, request: &Request) -> Result<Reply> {
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
