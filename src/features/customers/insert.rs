//! New customers into SQL, one or thousands with the same three statements.

use sqlx::PgConnection;
use sqlx::types::Json;

use super::document::Facts;
use crate::error::{Error, OnConstraint, Result};
use crate::values::ids::UserId;

/// Inserts customers with their contact points and addresses.
///
/// The rows travel as JSON, because Postgres has no arrays of differently long arrays.
///
/// # Errors
/// An external id that another customer has, or the database's.
pub async fn insert_all<'a>(
    connection: &mut PgConnection,
    customers: impl IntoIterator<Item = &'a Facts>,
    by: Option<UserId>,
) -> Result<()> {
    let customers: Vec<&Facts> = customers.into_iter().collect();
    let rows = serde_json::value::to_raw_value(&customers).map_err(Error::internal)?;
    sqlx::query!(
        r#"
        insert into customers (
          id, external_id, kind, name, given_name, family_name, company_name, date_of_birth, tax_id, language, time_zone, status, tags,
          metadata, custom, created_by, updated_by)
        select
          id, "externalId", kind, name, "givenName", "familyName", "companyName", "dateOfBirth", "taxId", language, "timeZone", status,
          tags, metadata, custom, $2, $2
        from jsonb_to_recordset($1) as new (
          id uuid, "externalId" text, kind text, name text, "givenName" text, "familyName" text, "companyName" text,
          "dateOfBirth" date, "taxId" text, language text, "timeZone" text, status text, tags text[], metadata jsonb, custom jsonb)
        "#,
        Json(&rows) as _,
        by.map(|by| by.0),
    )
    .execute(&mut *connection)
    .await
    .on_constraint("customers_external_id_key", || Error::duplicate("/externalId", "another customer has this external id"))?;
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
    .await
    .on_constraint("contact_points_value_key", || {
        Error::duplicate("/contactPoints", "the customer has this phone number or e-mail address already")
    })?;
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
