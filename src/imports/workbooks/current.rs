//! The current records as rows of a template, to be edited and uploaded again.

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::imports::fields::Target;
use crate::imports::guide::{Guide, guides};
use crate::search::document;

/// Most records of a template: a table that a person edits by hand. An export has all.
pub const MOST_RECORDS: usize = 10_000;

/// Records that are read at once.
const BATCH: i64 = 500;

/// The oldest records, and whether there are more.
#[derive(Debug)]
pub struct Current {
    pub records: Vec<Vec<Value>>,
    pub has_more: bool,
}

/// Reads the records of a target that are not deleted, oldest first, with a value for each of its fields.
pub async fn read(pool: &PgPool, target: Target) -> Result<Current> {
    let mut connection = pool.acquire().await?;
    let mut records = Vec::new();
    let mut after = Uuid::nil();
    loop {
        let ids = next(&mut connection, target, after).await?;
        let Some(last) = ids.last() else { return Ok(Current { records, has_more: false }) };
        after = *last;
        if records.len() + ids.len() > MOST_RECORDS {
            return Ok(Current { records, has_more: true });
        }
        for loaded in (target.collection().load)(&mut connection, &ids).await? {
            let json = [document::record(&loaded.source), b"}"].concat();
            let record: Value = serde_json::from_slice(&json).map_err(Error::internal)?;
            records.push(guides(target).iter().map(|guide| cell(&record, guide)).collect());
        }
    }
}

async fn next(connection: &mut PgConnection, target: Target, after: Uuid) -> Result<Vec<Uuid>> {
    let name = target.name();
    let next = format!("select id from {name} where deleted_at is null and id > $1 order by id limit $2");
    Ok(sqlx::query_scalar(AssertSqlSafe(next)).bind(after).bind(BATCH).fetch_all(connection).await?)
}

/// What a record has in a field, as a cell. The address of a customer is its first one.
fn cell(record: &Value, guide: &Guide) -> Value {
    let own = record.get(guide.name).filter(|value| !value.is_null());
    let value = own.or_else(|| record.pointer(&format!("/addresses/0/{}", guide.name))).unwrap_or(&Value::Null);
    match value {
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ").into(),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::imports::guide::of;

    #[test]
    fn a_cell_has_what_the_record_has() {
        let record = json!({
            "externalId": "007", "tags": ["a", "b"], "email": null, "addresses": [{ "line1": "1 High St", "city": null }],
        });
        for (name, expected) in [
            ("externalId", json!("007")),
            ("tags", json!("a, b")),
            ("email", json!(null)),
            ("line1", json!("1 High St")),
            ("city", json!(null)),
            ("streetNumber", json!(null)),
        ] {
            assert_eq!(cell(&record, of(Target::Customers, name).unwrap()), expected, "{name}");
        }
    }
}
