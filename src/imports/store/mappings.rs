//! Mappings that users made, by the headings of the file.

use sha2::{Digest as _, Sha256};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::import::Column;
use crate::error::Result;
use crate::imports::fields::Target;
use crate::imports::headings::{is_own, plain};
use crate::values::ids::UserId;

/// A hash of the headings, which is the same however they are cased and spaced. The program's own columns are not in it, so that
/// mended rows are mapped as they were before.
#[must_use]
pub fn fingerprint<'a>(headings: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for heading in headings.into_iter().filter(|heading| !is_own(heading)) {
        hash.update(plain(heading));
        hash.update([0x1f]);
    }
    hash.finalize().into()
}

/// Finds the mapping of a file with these headings.
pub async fn find(executor: impl PgExecutor<'_>, target: Target, fingerprint: &[u8; 32]) -> Result<Option<Vec<Column>>> {
    let found = sqlx::query_scalar!(
        r#"
        select columns as "columns: Json<Vec<Column>>"
        from import_mappings
        where target = $1
        and fingerprint = $2
        "#,
        target as Target,
        fingerprint.as_slice(),
    );
    Ok(found.fetch_optional(executor).await?.map(|columns| columns.0))
}

/// Saves a mapping in place of the earlier one.
pub async fn put(connection: &mut PgConnection, target: Target, columns: &[Column], by: Option<UserId>) -> Result<()> {
    let fingerprint = fingerprint(columns.iter().map(|column| column.heading.as_str()));
    let put = sqlx::query!(
        r#"
        insert into import_mappings (target, fingerprint, columns, saved_by)
        values ($1, $2, $3, $4)
        on conflict on constraint import_mappings_pkey do update
        set columns = excluded.columns, saved_by = excluded.saved_by, saved_at = now()
        "#,
        target as Target,
        fingerprint.as_slice(),
        Json(columns) as _,
        by.map(Uuid::from),
    );
    put.execute(connection).await?;
    Ok(())
}
