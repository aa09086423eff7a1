//! The addresses of accounts.

use schemars::JsonSchema;
use sqlx::PgConnection;
use uuid::Uuid;

use super::account::{self, Account};
use super::fields::COLLECTION;
use super::ledger_routes::{self, Ledger, NewEntry, Paging, Posted};
use super::rules::{self, NewAccount};
use crate::api::{Contended, Context, Reply, Request};
use crate::app::App;
use crate::auth::Permission::{Edit, Manage, Read, Reveal};
use crate::auth::{Caller, may};
use crate::error::{Result, Violations};
use crate::features::customers::{Customer, CustomerOfAccount};
use crate::features::resource::{
    self, Begun, Bulk, BulkChanged, Changes, ChangesOfMany, List, New, NewOf, Page, Parent, Patch, Reason, Removal, Replacement,
    Resource, Search, Shape, View,
};
use crate::http::Routes;
use crate::operation::{Created, NoContent, Nothing, OrJob};
use crate::routes;
use crate::search::{Collection, Terms};
use crate::values::ids::{AccountId, UserId};
use crate::values::json::Object;
use crate::values::money::{Amount, Currency};

/// The access matrix of accounts.
pub fn routes(app: &App) -> Routes {
    routes! { app, "accounts";
        get    ()                      may(Read)   => resource::list::<Account>:    List<Account> -> Page<Account>;
        post   ()                      may(Edit)   => create:                       New<Account> -> Created<Account>;
        post   ("search")              may(Read)   => resource::search::<Account>:  Search<Account> -> Page<Account>;
        /// Changes many accounts: those with these ids, those that a filter selects, or each in its own way.
        post   ("bulk-update")         may(Edit)   => resource::change_many::<Account>: ChangesOfMany<Account> -> OrJob<BulkChanged, Begun>;
        get    (AccountId)             may(Read)   => resource::read::<Account>:    Shape<Account> -> View<Account>;
        patch  (AccountId)             may(Edit)   => resource::change::<Account>:  Changes<Account> -> Account;
        put    (AccountId)             may(Edit)   => resource::replace::<Account>: Replacement<Account> -> Account;
        delete (AccountId)             may(Manage) => resource::remove::<Account>:  Removal -> NoContent;
        post   (AccountId / "restore") may(Manage) => resource::restore::<Account>: Nothing -> Account;
        /// Shows one record unmasked to a caller who gets it masked; why is logged.
        post   (AccountId / "reveal")  may(Reveal) => resource::reveal::<Account>:  Reason -> Account;
        /// Lists the entries of an account's ledger, newest first, with the balance that they add up to.
        get    (AccountId / "ledger")  may(Read)   => ledger_routes::list:          Paging -> Ledger;
        /// Posts an entry to an account's ledger by hand.
        post   (AccountId / "ledger")  may(Manage) => ledger_routes::post:          NewEntry -> Created<Posted>;
    }
}

/// A new account, for a customer that is there or for a new one.
#[derive(JsonSchema)]
#[schemars(rename = "NewAccount", rename_all = "camelCase")]
#[schemars(extend("oneOf" = [{ "required": ["customerId"] }, { "required": ["customer"] }]))]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
pub struct WithCustomer {
    /// The new customer who owes it.
    customer: Option<NewOf<Customer, CustomerOfAccount>>,
    /// What is owed; the same as `originalAmount` if absent.
    balance: Option<Amount>,
    /// Another name of `balance`.
    amount_due: Option<Amount>,
    /// What was owed at first; the same as `balance` if absent.
    original_amount: Option<Amount>,
    /// Currency of all amounts of the account.
    currency: Option<Currency>,
}

impl Resource for Account {
    type Id = AccountId;
    type New = WithCustomer;
    type Changed = ();
    const NAME: &'static str = "account";

    fn collection() -> &'static Collection {
        &COLLECTION
    }

    fn terms(&self) -> Terms {
        self.search_terms()
    }

    async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Self>> {
        account::select(connection, ids).await
    }

    async fn select_hidden(connection: &mut PgConnection, records: &mut [Self]) -> sqlx::Result<()> {
        account::select_contacts(connection, records).await
    }

    async fn change(connection: &mut PgConnection, before: &Self, patch: Patch, context: &Context<'_>) -> Result<()> {
        rules::change(connection, before, patch, context).await
    }

    async fn hold_parent(connection: &mut PgConnection, parent: Parent<'_>) -> Result<()> {
        rules::hold_parent(connection, parent).await
    }

    async fn restore(connection: &mut PgConnection, account: &Self, by: Option<UserId>) -> Result<()> {
        rules::restore(connection, account, by).await
    }
}

impl Bulk for Account {
    const JOB: &'static str = "change_accounts";

    async fn hold_parents(connection: &mut PgConnection, changes: &[&Object]) -> Result<()> {
        rules::hold_parents(connection, changes).await
    }

    fn changed_row(before: &Self, patch: Patch, context: &Context<'_>) -> Result<Option<Self>> {
        rules::changed_row(before, patch, context)
    }
}

async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    let body = request.object().await?;
    let (context, mut violations) = (request.rule_context(caller.id, caller.authority()), Violations::default());
    let new = NewAccount::read(body, &context, &mut violations);
    violations.check()?;
    // A new account keeps its customer from being deleted, and waits for what changes the customer.
    let contended = Contended::Record(new.account.customer_id);
    request
        .write(caller.id, contended, async |connection| {
            let id = rules::open(connection, &new, &context).await?;
            resource::created::<Account>(connection, id.0, &request).await
        })
        .await
}
