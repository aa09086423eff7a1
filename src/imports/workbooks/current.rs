//! The current records as rows of a template, to be edited and uploaded again.

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::imports::fields::Target;
use crate::imports::guide::{CellKind, Guide, guides};
use crate::search::document;
use crate::sheets::Cell;

/// Most records of a template: a table that a person edits by hand. An export has all.
pub const MOST_RECORDS: usize = 10_000;

/// Records that are read at once.
const BATCH: i64 = 500;

/// The oldest records, and whether there are more.
#[derive(Debug)]
pub struct Current {
    pub records: Vec<Vec<Cell>>,
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
fn cell(record: &Value, guide: &Guide) -> Cell {
    let own = record.get(guide.name).filter(|value| !value.is_null());
    let value = own.or_else(|| record.pointer(&format!("/addresses/0/{}", guide.name))).unwrap_or(&Value::Null);
    match value {
        Value::Null => Cell::Blank,
        Value::Array(words) => Cell::Text(words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        Value::Number(number) => number.as_f64().map_or_else(|| Cell::Text(number.to_string()), Cell::Number),
        Value::Bool(flag) => Cell::Boolean(*flag),
        Value::String(text) if guide.kind == CellKind::Day => text.parse().map_or_else(|_| Cell::Text(text.clone()), Cell::Day),
        Value::String(text) => Cell::Text(text.clone()),
        Value::Object(_) => Cell::Text(value.to_string()),
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
            "externalId": "007", "tags": ["a", "b"], "email": null, "dateOfBirth": "1980-01-31",
            "addresses": [{ "line1": "1 High St", "city": null }],
        });
        let text = |text: &str| Cell::Text(text.to_owned());
        for (name, expected) in [
            ("externalId", text("007")),
            ("tags", text("a, b")),
            ("email", Cell::Blank),
            ("dateOfBirth", Cell::Day("1980-01-31".parse().unwrap())),
            ("line1", text("1 High St")),
            ("city", Cell::Blank),
            ("streetNumber", Cell::Blank),
        ] {
            assert_eq!(cell(&record, of(Target::Customers, name).unwrap()), expected, "{name}");
        }
    }
}
