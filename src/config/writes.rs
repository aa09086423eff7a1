//! Settings of writes.

use clap::Args;

use super::range::number;

#[derive(Args, Clone, Debug)]
pub struct Writes {
    /// Largest payment, in major units of its currency.
    #[arg(id = "payment_max", long = "payment-max", env = "PAYMENT_MAX", default_value_t = 1_000_000, value_parser = number(1..=1_000_000_000_u32))]
    pub payment_max: u32,
    /// Refuse payments on /api/v1 without an Idempotency-Key.
    #[arg(
        id = "require_idempotency",
        long = "require-idempotency",
        env = "REQUIRE_IDEMPOTENCY",
        default_value_t = false,
        action = clap::ArgAction::Set
    )]
    pub require_idempotency: bool,
    /// `mock` opens POST /payments/simulate, which records payments that were never made; the default but in production, where it is
    /// `live`.
    #[arg(id = "payment_mode", long = "payment-mode", env = "PAYMENT_MODE")]
    pub payment_mode: Option<PaymentMode>,
}

/// Whether payments can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PaymentMode {
    Mock,
    Live,
}
