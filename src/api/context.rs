//! What the rules of a write depend on besides the request.

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::error::{Error, Result};
use crate::values::ids::UserId;
use crate::values::money::Currency;

/// The caller, the moment and the settings that a write depends on.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub by: Option<UserId>,
    pub now: DateTime<Utc>,
    /// Currency of amounts that name none.
    pub currency: Currency,
    /// Region of phone numbers without a country code.
    pub region: &'a str,
    /// Largest payment, in major units.
    pub payment_max: u32,
    pub authority: Authority,
    /// Whether a member that only the server sets must be unchanged when it is sent back; otherwise it is ignored.
    pub is_strict: bool,
}

/// How far a caller may move balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Authority {
    /// By what happens every day: debts that are owed, and payments that come.
    Ordinary,
    /// Also by what the ledger takes only by hand: credits, amounts beyond every payment, write-offs, refunds.
    Full,
}

impl<'a> Context<'a> {
    /// What work for a user depends on, by the rules of `/api/v1`.
    #[must_use]
    pub fn of(app: &'a App, by: UserId, authority: Authority) -> Self {
        let config = &app.config;
        Self {
            by: Some(by),
            now: app.clock.now(),
            currency: config.default_currency,
            region: &config.default_region,
            payment_max: config.writes.payment_max,
            authority,
            is_strict: true,
        }
    }

    /// The largest payment in minor units of a currency.
    #[must_use]
    pub fn largest_payment(&self, currency: Currency) -> i64 {
        i64::from(self.payment_max) * 10_i64.pow(currency.exponent())
    }

    /// Refuses a caller without [`Authority::Full`].
    pub fn require_full_authority(&self) -> Result<()> {
        match self.authority {
            Authority::Full => Ok(()),
            Authority::Ordinary => Err(Error::Forbidden("manage")),
        }
    }
}
