//! Buffers of rows in the text format of COPY.

use sqlx::{Connection, PgConnection};

/// One buffer for each table.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) customers: String,
    pub(super) contact_points: String,
    pub(super) addresses: String,
    pub(super) accounts: String,
    pub(super) payments: String,
    pub(super) activities: String,
    pub(super) ledger_entries: String,
}

impl Tables {
    /// Loads all rows in one transaction; returns how many.
    pub(super) async fn load(&self, connection: &mut PgConnection) -> sqlx::Result<u64> {
        // The ledger is last and one statement, so that its trigger updates each balance once.
        let parts = [
            (
                "copy customers (id, external_id, kind, name, given_name, family_name, company_name, date_of_birth, tax_id, \
                 language, status, tags, created_at, updated_at) from stdin",
                &self.customers,
            ),
            (
                "copy contact_points (id, customer_id, kind, value, normalized, label, is_primary) from stdin",
                &self.contact_points,
            ),
            (
                "copy addresses (id, customer_id, line1, line2, city, region, postal_code, country, is_primary) from stdin",
                &self.addresses,
            ),
            (
                "copy accounts (id, account_number, customer_id, currency, balance, original_amount, due_date, status, \
                 creditor, portfolio, product, last_payment_at, next_action_at, created_at, updated_at) from stdin",
                &self.accounts,
            ),
            (
                "copy payments (id, account_id, customer_id, amount, currency, method, status, receiver, description, \
                 reference, failure_code, failure_reason, received_at, created_at, updated_at) from stdin",
                &self.payments,
            ),
            (
                "copy activities (id, account_id, kind, disposition, note, is_pinned, occurred_at, created_at, updated_at) from stdin",
                &self.activities,
            ),
            (
                "copy ledger_entries (id, account_id, kind, amount, payment_id, occurred_at, created_at) from stdin",
                &self.ledger_entries,
            ),
        ];
        let mut transaction = connection.begin().await?;
        let mut loaded = 0;
        for (statement, rows) in parts {
            let mut copy = transaction.copy_in_raw(statement).await?;
            copy.send(rows.as_bytes()).await?;
            loaded += copy.finish().await?;
        }
        transaction.commit().await?;
        Ok(loaded)
    }
}
