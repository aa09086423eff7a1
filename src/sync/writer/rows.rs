//! Makes documents of rows, and tells the rows apart of which none can be made: one of them must not stop the rest.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::search::Collection;

/// What some rows are as documents. Those that are in neither do not exist.
#[derive(Debug, Default)]
pub struct Rows {
    /// The documents.
    pub documents: HashMap<Uuid, Vec<u8>>,
    /// Rows that hold what no document can, and what that is, without values.
    pub unreadable: BTreeMap<Uuid, String>,
}

/// Reads rows in the snapshot of a transaction. A fault of one row is found by halves.
///
/// # Errors
/// The database's, but for those that the rows themselves are to blame for.
pub async fn read(snapshot: &mut PgConnection, collection: &Collection, ids: &[Uuid]) -> sqlx::Result<Rows> {
    let mut rows = Rows::default();
    let mut parts = vec![ids];
    while let Some(part) = parts.pop() {
        // A fault would end the transaction, and with it the snapshot.
        let mut point = snapshot.begin().await?;
        // A date beyond what the program can count panics.
        let loaded = AssertUnwindSafe((collection.load)(&mut point, part)).catch_unwind().await;
        let fault = match loaded {
            Ok(Ok(loaded)) => {
                point.commit().await?;
                rows.documents.extend(loaded.into_iter().map(|document| (document.id, document.source)));
                continue;
            }
            Ok(Err(error)) => match fault_of_a_row(&error) {
                Some(fault) => fault,
                None => return Err(error),
            },
            Err(_) => "its row holds a value that is out of range".to_owned(),
        };
        point.rollback().await?;
        match part {
            [id] => drop(rows.unreadable.insert(*id, fault)),
            _ => parts.extend(<[_; 2]>::from(part.split_at(part.len() / 2))),
        }
    }
    Ok(rows)
}

/// Says what is wrong with a row, if that is what an error says. Its own words may quote personal data.
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
