//! What an import depends on besides its rows: how their cells are read, and by whose rules they become records.

use chrono::{DateTime, Utc};

use super::read::record::Layout;
use super::store::Import;
use crate::api::Context;
use crate::app::App;
use crate::error::{Error, Result};
use crate::values::ids::UserId;
use crate::values::money::Currency;

pub(super) struct Plan {
    pub(super) import: Import,
    pub(super) layout: Layout,
    currency: Currency,
    payment_max: u32,
    now: DateTime<Utc>,
}

impl Plan {
    /// # Errors
    /// The import is not mapped.
    pub(super) fn new(app: &App, import: Import) -> Result<Self> {
        let config = &app.config;
        let options = &import.options.0;
        let currency = options.currency.as_deref().and_then(|code| code.parse().ok()).unwrap_or(config.default_currency);
        let columns = import.columns.as_ref().ok_or_else(not_mapped)?;
        let layout = Layout::new(&import, columns, options.region.as_deref().unwrap_or(&config.default_region));
        Ok(Self { layout, currency, payment_max: config.writes.payment_max, now: app.clock.now(), import })
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            by: self.import.created_by.map(UserId),
            now: self.now,
            currency: self.currency,
            region: &self.layout.region,
            payment_max: self.payment_max,
            authority: self.import.authority,
            is_strict: true,
        }
    }
}

pub(super) fn not_mapped() -> Error {
    Error::conflict("import_not_mapped", "say first which column holds which field")
}
