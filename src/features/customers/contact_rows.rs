//! A customer's contact points and addresses in SQL.

use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::customer::{Address, ContactPoint, Customer};
use crate::error::Result;

/// Inserts what belongs to new customers. The rows travel as JSON, because Postgres has no arrays of differently long arrays.
pub(super) async fn insert_all(connection: &mut PgConnection, customers: &[&Customer]) -> Result<()> {
    let parts = |customer: &&Customer| json!({ "id": customer.id, "contactPoints": customer.contact_points, "addresses": customer.addresses });
    let rows: Vec<Value> = customers.iter().map(parts).collect();
    sqlx::query!(
        r#"
        insert into contact_points (id, customer_id, kind, value, normalized, label, is_primary, state)
        select point.id, new.id, kind, value, normalized, label, "isPrimary", state
        from jsonb_to_recordset($1) as new (id uuid, "contactPoints" jsonb)
        cross join jsonb_to_recordset(new."contactPoints") as point (
          id uuid, kind text, value text, normalized text, label text, "isPrimary" boolean, state text)
        "#,
        Json(&rows) as _,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        r#"
        insert into addresses (id, customer_id, label, line1, line2, city, region, postal_code, country, is_primary)
        select address.id, new.id, label, line1, line2, city, region, "postalCode", country, "isPrimary"
        from jsonb_to_recordset($1) as new (id uuid, addresses jsonb)
        cross join jsonb_to_recordset(new.addresses) as address (
          id uuid, label text, line1 text, line2 text, city text, region text, "postalCode" text, country text, "isPrimary" boolean)
        "#,
        Json(&rows) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the contact points that are not in the new set, and lets the others make room for each other's values.
pub(super) async fn clear_contact_points(connection: &mut PgConnection, customer: Uuid, kept: &[ContactPoint]) -> Result<()> {
    clear(&mut *connection, "contact_points", customer, kept.iter().map(|point| (point.id, point.is_primary))).await?;
    let (ids, values): (Vec<Uuid>, Vec<&str>) = kept.iter().map(|point| (point.id, point.normalized.as_str())).unzip();
    // The rows are written one by one, and two may exchange their values. An id is no number and no address.
    sqlx::query!(
        r#"
        update contact_points
        set normalized = kept.id::text
        from unnest($2::uuid[], $3::text[]) as kept (id, normalized)
        where contact_points.id = kept.id
        and contact_points.normalized <> kept.normalized
        and customer_id = $1
        "#,
        customer,
        &ids,
        &values as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the addresses that are not in the new set.
pub(super) async fn clear_addresses(connection: &mut PgConnection, customer: Uuid, kept: &[Address]) -> Result<()> {
    clear(connection, "addresses", customer, kept.iter().map(|address| (address.id, address.is_primary))).await
}

/// Removes the rows of a part that are not in the new set of ids, each with whether it is primary, and lets the old primaries make
/// room.
async fn clear(
    connection: &mut PgConnection,
    table: &'static str,
    customer: Uuid,
    kept: impl Iterator<Item = (Uuid, bool)> + Clone,
) -> Result<()> {
    let ids: Vec<Uuid> = kept.clone().map(|(id, _)| id).collect();
    let sql = format!("delete from {table} where customer_id = $1 and id <> all($2)");
    sqlx::query(AssertSqlSafe(sql)).bind(customer).bind(ids).execute(&mut *connection).await?;
    // The index that allows one primary of a kind looks at every row on its own, so the old ones step down first.
    let primaries: Vec<Uuid> = kept.filter(|(_, is_primary)| *is_primary).map(|(id, _)| id).collect();
    let sql = format!("update {table} set is_primary = false where customer_id = $1 and is_primary and id <> all($2)");
    sqlx::query(AssertSqlSafe(sql)).bind(customer).bind(primaries).execute(connection).await?;
    Ok(())
}

pub(super) async fn put_contact_points(connection: &mut PgConnection, customer: Uuid, points: &[ContactPoint]) -> Result<()> {
    for point in points {
        sqlx::query!(
            r#"
            insert into contact_points (id, customer_id, kind, value, normalized, label, is_primary, state)
            values ($1, $2, $3, $4, $5, $6, $7, $8)
            on conflict (id) do update
            set
              kind = excluded.kind,
              value = excluded.value,
              normalized = excluded.normalized,
              label = excluded.label,
              is_primary = excluded.is_primary,
              state = excluded.state
            where (contact_points.kind, contact_points.value, contact_points.normalized, contact_points.label,
              contact_points.is_primary, contact_points.state)
              is distinct from
              (excluded.kind, excluded.value, excluded.normalized, excluded.label, excluded.is_primary, excluded.state)
            "#,
            point.id,
            customer,
            point.kind,
            point.value,
            point.normalized,
            point.label,
            point.is_primary,
            point.state,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn put_addresses(connection: &mut PgConnection, customer: Uuid, addresses: &[Address]) -> Result<()> {
    for address in addresses {
        sqlx::query!(
            r#"
            insert into addresses (id, customer_id, label, line1, line2, city, region, postal_code, country, is_primary)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            on conflict (id) do update
            set
              label = excluded.label,
              line1 = excluded.line1,
              line2 = excluded.line2,
              city = excluded.city,
              region = excluded.region,
              postal_code = excluded.postal_code,
              country = excluded.country,
              is_primary = excluded.is_primary
            where (addresses.label, addresses.line1, addresses.line2, addresses.city, addresses.region, addresses.postal_code,
              addresses.country, addresses.is_primary)
              is distinct from
              (excluded.label, excluded.line1, excluded.line2, excluded.city, excluded.region, excluded.postal_code,
              excluded.country, excluded.is_primary)
            "#,
            address.id,
            customer,
            address.label,
            address.line1,
            address.line2,
            address.city,
            address.region,
            address.postal_code,
            address.country,
            address.is_primary,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
