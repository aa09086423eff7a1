//! Customers as a searchable collection: what lists filter, sort and look for.

use super::{document, patch};
use crate::search::FieldKind::{Currency, Day, Folded, Id, Integer, Moment, Money, Tags, Text};
use crate::search::{Collection, Compares, Field, Source};

/// Customers as a searchable collection.
pub static COLLECTION: Collection = Collection {
    name: "customers",
    template: include_str!("../../../index-templates/customers.json"),
    revision: 1,
    fields: FIELDS,
    shortcuts: &[],
    sources: SOURCES,
    from: "customers c",
    id: "c.id",
    load: document::load,
};

const FIELDS: &[Field] = &[
    Field::new("id", Id, "c.id"),
    Field::new("externalId", Text, "c.external_id").sortable(),
    Field::keyword("kind", &patch::KINDS, "c.kind").sortable(),
    Field::new("name", Folded, "c.name_sort").at("search.sort").sortable(),
    Field::new("givenName", Text, "c.given_name").sortable(),
    Field::new("familyName", Text, "c.family_name").sortable(),
    Field::new("companyName", Text, "c.company_name").sortable(),
    Field::new("dateOfBirth", Day, "c.date_of_birth").sortable(),
    Field::new("language", Text, "c.language"),
    Field::keyword("status", &patch::STATUSES, "c.status").sortable(),
    Field::new("tags", Tags, "c.tags"),
    Field::new("accountCount", Integer, ACCOUNT_COUNT).sortable(),
    Field::new("openAccountCount", Integer, OPEN_ACCOUNT_COUNT).sortable(),
    Field::new("currency", Currency, CURRENCY),
    Field::new("balance", Money, BALANCE).sortable(),
    Field::new("oldestDueDate", Day, OLDEST_DUE_DATE).sortable(),
    Field::new("lastPaymentAt", Moment, LAST_PAYMENT_AT).sortable(),
    Field::new("createdAt", Moment, "c.created_at").sortable(),
    Field::new("updatedAt", Moment, "c.updated_at").sortable(),
    Field::new("deletedAt", Moment, "c.deleted_at").sortable(),
];

// What a customer owes is kept nowhere but in the accounts, so it cannot be wrong; see `document` for the same in a document.
const ACCOUNT_COUNT: &str = "(select count(*) from accounts o where o.customer_id = c.id and o.deleted_at is null)";
const OPEN_ACCOUNT_COUNT: &str =
    "(select count(*) from accounts o where o.customer_id = c.id and o.deleted_at is null and o.status = 'open')";
const CURRENCY: &str = "(select case when count(distinct o.currency) = 1 then min(o.currency) end
    from accounts o where o.customer_id = c.id and o.deleted_at is null)";
const BALANCE: &str = "(select case when count(distinct o.currency) = 1
      then least(greatest(sum(o.balance), -9223372036854775808), 9223372036854775807)::bigint end
    from accounts o where o.customer_id = c.id and o.deleted_at is null)";
const OLDEST_DUE_DATE: &str =
    "(select min(o.due_date) from accounts o where o.customer_id = c.id and o.deleted_at is null and o.status = 'open')";
const LAST_PAYMENT_AT: &str =
    "(select max(o.last_payment_at) from accounts o where o.customer_id = c.id and o.deleted_at is null)";

const SOURCES: &[Source] = &[
    Source { id: "c.id", from: "customers c", compares: Compares::Name("c.name_fold") },
    Source { id: "c.id", from: "customers c", compares: Compares::Number { terms: "c.number_terms", whole: None } },
    Source { id: "p.customer_id", from: "contact_points p", compares: Compares::Contacts("p") },
    Source { id: "d.customer_id", from: "addresses d", compares: Compares::Words("d.search_fold") },
];
