//! Customers with accounts and payments as rows, for tests that need some and nothing special of them.

use uuid::Uuid;

/// The statements that insert people, run as one transaction. Ids are small numbers.
#[derive(Default)]
pub(crate) struct People {
    pub(crate) sql: String,
    customer: Uuid,
    account: Option<Uuid>,
}

/// A customer.
pub(crate) fn person(id: u128, name: &str) -> People {
    People::default().person(id, name)
}

/// Customers with random ids, named `{name} 1`, `{name} 2`, …
pub(crate) fn crowd(count: i64, name: &str) -> People {
    let all = format!("select gen_random_uuid(), '{name} ' || n from generate_series(1, {count}) as n");
    People::default().and(&format!("insert into customers (id, name) {all}"))
}

impl People {
    fn and(self, statement: &str) -> Self {
        Self { sql: self.sql + statement + ";\n", ..self }
    }

    pub(crate) fn person(mut self, id: u128, name: &str) -> Self {
        (self.customer, self.account) = (Uuid::from_u128(id), None);
        let values = format!("('{}', '{name}')", self.customer);
        self.and(&format!("insert into customers (id, name) values {values}"))
    }

    /// Adds an account in euros.
    pub(crate) fn account(mut self, id: u128, number: &str) -> Self {
        let account = Uuid::from_u128(id);
        self.account = Some(account);
        let values = format!("('{account}', '{number}', '{}', 'EUR')", self.customer);
        self.and(&format!("insert into accounts (id, account_number, customer_id, currency) values {values}"))
    }

    /// Adds accounts with random ids and numbers.
    pub(crate) fn accounts(self, count: i64) -> Self {
        let all = format!("select gen_random_uuid(), '{}', 'EUR' from generate_series(1, {count})", self.customer);
        self.and(&format!("insert into accounts (id, customer_id, currency) {all}"))
    }

    /// Adds a payment in cents: on the last account, or of the customer if there is none.
    pub(crate) fn payment(self, id: u128, cents: i64) -> Self {
        let (column, payer) = self.account.map_or(("customer_id", self.customer), |account| ("account_id", account));
        let values = format!("('{}', '{payer}', {cents}, 'EUR', 'cash')", Uuid::from_u128(id));
        self.and(&format!("insert into payments (id, {column}, amount, currency, method) values {values}"))
    }
}
