//! The addresses of accounts.

use sqlx::PgConnection;
use uuid::Uuid;

use super::account::{self, Account};
use super::fields::COLLECTION;
use super::ledger_routes;
use super::rules::{self, NewAccount};
use crate::api::{Contended, Context, Reply, Request};
use crate::app::App;
use crate::auth::Permission::{Edit, Manage, Read, Reveal};
use crate::auth::{Caller, may};
use crate::error::{Result, Violations};
use crate::features::resource::{self, Parent, Patch, Resource};
use crate::http::Routes;
use crate::routes;
use crate::search::{Collection, Terms};
use crate::values::ids::{AccountId, UserId};

/// The access matrix of accounts.
pub fn routes(app: &App) -> Routes {
    routes! { app, "accounts";
        get    ()                      may(Read)   => resource::list::<Account>;
        post   ()                      may(Edit)   => create;
        post   ("search")              may(Read)   => resource::search::<Account>;
        get    (AccountId)             may(Read)   => resource::read::<Account>;
        patch  (AccountId)             may(Edit)   => resource::change::<Account>;
        put    (AccountId)             may(Edit)   => resource::replace::<Account>;
        delete (AccountId)             may(Manage) => resource::remove::<Account>;
        post   (AccountId / "restore") may(Manage) => resource::restore::<Account>;
        post   (AccountId / "reveal")  may(Reveal) => resource::reveal::<Account>;
        get    (AccountId / "ledger")  may(Read)   => ledger_routes::list;
        post   (AccountId / "ledger")  may(Manage) => ledger_routes::post;
    }
}

impl Resource for Account {
    type Id = AccountId;
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
