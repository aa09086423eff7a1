//! Simulated payments: records of money that never moved, made by the same steps as any other, for trials and demonstrations.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use tokio::time::sleep;

use super::payment::Payment;
use super::recording::record;
use super::status::Status;
use crate::api::{Reply, Request, fields};
use crate::auth::Caller;
use crate::config::PaymentMode;
use crate::error::{Error, Result, Violations};
use crate::features::resource::NewOf;
use crate::operation::{Effect, Operation, Takes};

/// Longest delay: no client waits for a provider any longer.
const MOST_DELAY_MS: u64 = 10_000;

/// What a payment may come to at once.
const OUTCOMES: [Status; 3] = [Status::Success, Status::Failed, Status::Pending];

/// The failure code of a simulated failure, unless the request names another.
const FAILURE_CODE: &str = "simulated";

/// A payment to simulate.
pub(super) struct Simulation;

impl Takes for Simulation {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Adds;
        operation.takes::<Body>();
    }
}

/// What a simulation takes besides the members of a new payment.
#[derive(JsonSchema)]
#[schemars(rename = "Simulation", rename_all = "camelCase")]
#[schemars(extend("required" = ["amount", "method", "outcome"]))]
#[schemars(extend("examples" = [{ "amount": "29.90", "method": "credit_card", "outcome": "failed", "delayMs": 500 }]))]
#[expect(dead_code, reason = "it is a schema; `simulate` takes the members out of the body")]
struct Members {
    /// What the payment comes to: its first status.
    outcome: Status,
    /// How long the provider takes.
    #[schemars(range(max = MOST_DELAY_MS))]
    delay_ms: u64,
}

struct Body;

impl JsonSchema for Body {
    fn schema_name() -> Cow<'static, str> {
        "Simulation".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let mut schema = NewOf::<Payment, Members>::json_schema(schemas);
        if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            properties.remove("status");
            properties.insert("outcome".into(), serde_json::json!({ "type": "string", "enum": OUTCOMES }));
        }
        schema
    }
}

/// Records a payment with the outcome that the request asks for.
///
/// # Errors
/// A conflict where the settings allow no simulation.
pub(super) async fn simulate(caller: Caller, mut request: Request) -> Result<Reply> {
    if request.app.config.payment_mode() != PaymentMode::Mock {
        let detail = "payments are real here; PAYMENT_MODE=mock allows simulated ones";
        return Err(Error::conflict("simulation_off", detail));
    }
    let (mut body, mut violations) = (request.object().await?, Violations::default());
    let account = fields::take(&mut body, "accountId", &mut violations).value();
    let outcome = fields::take::<String>(&mut body, "outcome", &mut violations).value();
    let delay = fields::take::<u64>(&mut body, "delayMs", &mut violations).value().unwrap_or(0);
    let outcome = OUTCOMES.into_iter().find(|known| outcome.as_deref() == Some(known.as_str()));
    if outcome.is_none() {
        violations.add("/outcome", "required", format!("takes one of {}", OUTCOMES.map(Status::as_str).join(", ")));
    }
    if delay > MOST_DELAY_MS {
        violations.add("/delayMs", "out_of_range", format!("takes at most {MOST_DELAY_MS}"));
    }
    if body.contains_key("status") {
        violations.add("/status", "unknown_member", "a simulation takes `outcome` instead");
    }
    violations.check()?;
    let outcome = outcome.unwrap_or_default();
    body.insert("status".into(), outcome.as_str().into());
    if outcome == Status::Failed && !body.contains_key("failureCode") {
        body.insert("failureCode".into(), FAILURE_CODE.into());
    }
    request.context.slot().leave_during(sleep(Duration::from_millis(delay))).await?;
    record(body, account, &caller, &request).await
}
