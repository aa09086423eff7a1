//! Builds documents from rows and isolates rows from which none can be built: one of them must not stop the rest.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::Collection;

/// Documents of rows. An id in neither map has no row.
#[derive(Debug, Default)]
pub struct Rows {
    pub documents: HashMap<Uuid, Vec<u8>>,
    /// Rows with a value that no document can hold, and the reason, without personal data.
    pub unreadable: BTreeMap<Uuid, String>,
}

/// Reads rows in the snapshot of a transaction. A broken row is found by bisection.
pub async fn read(snapshot: &mut PgConnection, collection: &Collection, ids: &[Uuid]) -> sqlx::Result<Rows> {
    let mut rows = Rows::default();
    let mut parts = vec![ids];
    while let Some(part) = parts.pop() {
        // An error would end the transaction, and with it the snapshot.
        let mut savepoint = snapshot.begin().await?;
        // A date beyond chrono's range panics.
        let loaded = AssertUnwindSafe((collection.load)(&mut savepoint, part)).catch_unwind().await;
        let fault = match loaded {
            Ok(Ok(loaded)) => {
                savepoint.commit().await?;
                rows.documents.extend(loaded.into_iter().map(|document| (document.id, document.source)));
                continue;
            }
            Ok(Err(error)) => match fault_of_a_row(&error) {
                Some(fault) => fault,
                None => return Err(error),
            },
            Err(_) => "its row holds a value that is out of range".to_owned(),
        };
        savepoint.rollback().await?;
        match part {
            [id] => {
                rows.unreadable.insert(*id, fault);
            }
            _ => parts.extend(<[_; 2]>::from(part.split_at(part.len() / 2))),
        }
    }
    Ok(rows)
}

/// Describes an error that a row is to blame for. The text of Postgres may quote personal data.
fn fault_of_a_row(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Database(error) => {
            // Class 22 is "data exception".
            let code = error.code().filter(|code| code.starts_with("22"))?;
            Some(format!("its row cannot be read: SQLSTATE {code}"))
        }
        sqlx::Error::ColumnDecode { index, .. } => Some(format!("its row cannot be read: column {index}")),
        sqlx::Error::Decode(_) => Some("its row cannot be read".to_owned()),
        _ => None,
    }
}
