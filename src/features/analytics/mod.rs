//! What analysts see of the rows: one index beside that of each collection, in which no person can be found.
//!
//! The same sync writes them, the setting `ANALYTICS` switches them on, and no address lists them.
//!
//! They hold no name, day of birth, tax number, contact, address, receiver, description, reference, note, tag or account number.
//! Documents refer to each other by pseudonyms: hashes under a key that only Postgres has.

pub mod accounts;
pub mod activities;
pub mod customers;
mod daily;
mod figures;
pub mod operations;
pub mod payments;
pub mod snapshots;

pub use daily::TakeSnapshots;
pub use figures::routes;

use std::future::Future;

use futures_util::future::BoxFuture;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::features::resource;
use crate::search::{Collection, Join, Loaded};

/// What their collections have alike: clients neither list nor search them.
const UNLISTED: Collection = Collection {
    name: "",
    template: "",
    revision: 1,
    fields: &[],
    past_due: None,
    includes: &[],
    sources: &[],
    table: "",
    joins: &[],
    id: "",
    version: "version",
    load: nothing,
    computed: resource::nothing_computed,
    permission: "",
};

/// The key of pseudonyms, which is one row.
const STATE: Join = Join { alias: "s", sql: "cross join analytics_state s" };

fn nothing<'a>(_: &'a mut PgConnection, _: &'a [Uuid]) -> BoxFuture<'a, sqlx::Result<Vec<Loaded>>> {
    Box::pin(async { Ok(Vec::new()) })
}

/// A row without persons.
trait Facts: Serialize + Send + Sync {
    fn id(&self) -> Uuid;

    /// Reads the rows with these ids; absent ones are left out.
    fn select(connection: &mut PgConnection, ids: &[Uuid]) -> impl Future<Output = sqlx::Result<Vec<Self>>> + Send
    where
        Self: Sized;
}

/// Builds the documents for [`Collection::load`].
fn load<'a, F: Facts>(connection: &'a mut PgConnection, ids: &'a [Uuid]) -> BoxFuture<'a, sqlx::Result<Vec<Loaded>>> {
    Box::pin(async move {
        let rows = F::select(connection, ids).await?;
        let load = |row: &F| Ok(Loaded { id: row.id(), source: serde_json::to_vec(row)? });
        rows.iter().map(load).collect::<serde_json::Result<_>>().map_err(|error| sqlx::Error::Encode(error.into()))
    })
}
