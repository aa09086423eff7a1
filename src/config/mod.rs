//! Settings: one group per concern, each setting with its environment variable, default and meaning.
//!
//! Fields without a variable (`arg(skip)`) are not settings: no deployment changes them, only tests do.

mod access;
mod database;
mod exports;
mod http;
mod imports;
mod jobs;
mod range;
mod search;
mod sync;
mod telemetry;
mod writes;

use clap::Args;
use secrecy::SecretString;

pub use access::audit::Audit;
pub use access::limits::Limits;
pub use access::mail::Mail;
pub use access::{Access, Registration};
pub use database::Database;
pub use exports::Exports;
pub use http::Http;
pub use imports::{Imports, SheetLimits};
pub use jobs::Jobs;
pub use search::{Analytics, Search};
pub use sync::Sync;
pub use sync::feed::Feed;
pub use sync::reindex::Rebuild;
pub use telemetry::Telemetry;
pub use writes::{PaymentMode, Writes};

#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Kind of deployment: `production` refuses weak secrets.
    #[arg(long, env = "APP_ENV", default_value = "development")]
    pub environment: Environment,
    /// Currency of amounts without one (ISO 4217).
    #[arg(long, env = "DEFAULT_CURRENCY", default_value = "USD")]
    pub default_currency: crate::values::money::Currency,
    /// Region of phone numbers without a country code (ISO 3166-1 alpha-2).
    #[arg(long, env = "DEFAULT_REGION", default_value = "US", value_parser = region)]
    pub default_region: String,
    /// Time zone of days where a request names none (`tz`): a name such as `Europe/Berlin`, or an offset.
    #[arg(long, env = "DEFAULT_TIME_ZONE", default_value = "UTC")]
    pub default_time_zone: crate::values::zone::Zone,
    /// Last days past due of the ageing buckets but the last: `current`, `1-30`, …, `120+`.
    #[arg(long, env = "AGING_DAYS", default_value = "30,60,90,120")]
    pub aging_days: crate::values::aging::Aging,
    #[command(flatten)]
    pub database: Database,
    #[command(flatten)]
    pub search: Search,
    #[command(flatten)]
    pub http: Http,
    #[command(flatten)]
    pub access: Access,
    #[command(flatten)]
    pub mail: Mail,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub audit: Audit,
    #[command(flatten)]
    pub writes: Writes,
    #[command(flatten)]
    pub sync: Sync,
    #[command(flatten)]
    pub feed: Feed,
    #[command(flatten)]
    pub reindex: Rebuild,
    #[command(flatten)]
    pub imports: Imports,
    #[command(flatten)]
    pub exports: Exports,
    #[command(flatten)]
    pub jobs: Jobs,
    /// Redis: `redis://host:port`. Servers notify each other of changes through it; optional.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<SecretString>,
    #[command(flatten)]
    pub telemetry: Telemetry,
}

impl Config {
    /// Refuses settings that are unsafe in production, with a sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        self.access.check(self.environment)?;
        self.http.check(self.environment)
    }

    /// Who can register.
    #[must_use]
    pub fn registration(&self) -> Registration {
        let default = if self.environment == Environment::Development { Registration::Open } else { Registration::Invite };
        self.access.registration.unwrap_or(default)
    }

    /// Whether payments can be simulated.
    #[must_use]
    pub fn payment_mode(&self) -> PaymentMode {
        let default = if self.environment == Environment::Production { PaymentMode::Live } else { PaymentMode::Mock };
        self.writes.payment_mode.unwrap_or(default)
    }
}

/// Reads the code of a region that phone numbers are known of.
fn region(text: &str) -> Result<String, String> {
    let code = text.to_ascii_uppercase();
    let is_known = code.parse::<phonenumber::country::Id>().is_ok();
    if is_known { Ok(code) } else { Err("takes a country code of ISO 3166-1 such as US".into()) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Environment {
    /// A fixed key replaces a missing secret.
    Development,
    Test,
    /// Weak or missing secrets are refused.
    Production,
}
