//! Rows that become customers.

use sqlx::PgConnection;

use crate::error::{Result, Violation, Violations};
use crate::features::customers::{self, Customer};
use crate::imports::Import;
use crate::imports::fields::Target;
use crate::imports::read::record::Record;
use crate::imports::read::survey::Survey;
use crate::imports::run::batch;
use crate::values::json::Object;

pub(in crate::imports) struct Draft(Customer);

impl batch::Draft for Draft {
    type Known = ();

    fn key(record: &Record) -> Option<String> {
        record.value("externalId").map(str::to_owned)
    }

    async fn look_up(_: &mut PgConnection, _: &[Record]) -> Result<()> {
        Ok(())
    }

    async fn existing(connection: &mut PgConnection, keys: &[String]) -> Result<Vec<String>> {
        let found = sqlx::query_scalar!(
            r#"
            select external_id as "external_id!"
            from customers
            where external_id = any($1)
            "#,
            keys
        );
        Ok(found.fetch_all(connection).await?)
    }

    fn make(record: &mut Record, (): &mut (), survey: &Survey, import: &Import) -> Option<Self> {
        let mut violations = record.require(&["externalId"]);
        let (customer, wrong) = check(body(record, import.target), import);
        violations.extend(wrong);
        record.add(survey, import.target.fields(), violations);
        (!record.has_failed()).then_some(Self(customer))
    }

    async fn insert(connection: &mut PgConnection, drafts: &[Self], _: &Import) -> Result<()> {
        customers::insert_all(connection, drafts.iter().map(|draft| &draft.0), None).await
    }
}

/// The row as the body of a request.
fn body(record: &mut Record, target: Target) -> Object {
    let mut body = record.take_members(target);
    if let Some(address) = address(record) {
        body.insert("addresses".into(), vec![address].into());
    }
    let company = body.contains_key("companyName") && !["givenName", "familyName"].iter().any(|name| body.contains_key(*name));
    if company {
        body.entry("kind".into()).or_insert_with(|| "company".into());
    }
    // Debts of a person without a name are imported too, under the external id.
    if !["name", "givenName", "familyName", "companyName"].iter().any(|name| body.contains_key(*name))
        && let Some(number) = body.get("externalId").cloned()
    {
        body.insert("name".into(), number);
        record.warn("no_name", "the row has no name; the external id stands in for it");
    }
    body
}

/// Checks the customer by the rules of a request.
pub(in crate::imports) fn check(body: Object, import: &Import) -> (Customer, Vec<Violation>) {
    let mut violations = Violations::default();
    let customer = Customer::read_new(body, &import.context(), &mut violations);
    (customer, violations.take())
}

fn address(record: &mut Record) -> Option<Object> {
    let number = record.take("streetNumber");
    let street = record.take("line1");
    let mut line2 = record.take("line2");
    let city = record.take("city");
    let first = [number, street].into_iter().flatten().collect::<Vec<_>>().join(" ");
    // An address needs a first line: without a street it is the second line, else the city.
    let line1 = if first.is_empty() { line2.take().or_else(|| city.clone()) } else { Some(first) };
    let rest = [("line2", line2), ("city", city)]
        .into_iter()
        .chain(["region", "postalCode", "country"].map(|name| (name, record.take(name))));
    let mut address: Object = rest.filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    address.insert("line1".into(), line1?.into());
    Some(address)
}
