//! Payments as a searchable collection: what lists filter, sort and look for.

use super::{document, patch, status};
use crate::search::FieldKind::{Currency, Folded, Id, Moment, Money, Text};
use crate::search::filter::{Test, Value};
use crate::search::{Collection, Compares, Field, Filter, Source};
use crate::values::ids::AccountId;

/// Payments as a searchable collection.
pub static COLLECTION: Collection = Collection {
    name: "payments",
    template: include_str!("../../../index-templates/payments.json"),
    revision: 1,
    fields: FIELDS,
    shortcuts: &[],
    sources: SOURCES,
    from: "payments p
        left join accounts a on a.id = p.account_id
        left join customers c on c.id = coalesce(a.customer_id, p.customer_id)",
    id: "p.id",
    load: document::load,
};

static ACCOUNT_ID: Field = Field::new("accountId", Id, "p.account_id");

static FIELDS: &[Field] = &[
    Field::new("id", Id, "p.id"),
    ACCOUNT_ID,
    Field::new("accountNumber", Text, "a.account_number").sortable(),
    Field::new("customerId", Id, "c.id"),
    Field::new("customerName", Folded, "c.name_sort").at("search.sort").sortable(),
    Field::new("amount", Money, "p.amount").sortable(),
    Field::new("currency", Currency, "p.currency").sortable(),
    Field::keyword("method", &patch::METHODS, "p.method").sortable(),
    Field::keyword("status", &status::STATUSES, "p.status").sortable(),
    Field::new("receiver", Text, "p.receiver").sortable(),
    Field::new("reference", Text, "p.reference").sortable(),
    Field::new("failureCode", Text, "p.failure_code").sortable(),
    Field::new("receivedAt", Moment, "p.received_at").sortable(),
    Field::new("createdAt", Moment, "p.created_at").sortable(),
    Field::new("updatedAt", Moment, "p.updated_at").sortable(),
    Field::new("deletedAt", Moment, "p.deleted_at").sortable(),
];

/// The payments of one account.
pub(super) fn of_account(id: AccountId) -> Filter {
    Filter::Leaf(&ACCOUNT_ID, Test::In(vec![Value::Id(id.0)]))
}

const SOURCES: &[Source] = &[
    Source {
        id: "p.id",
        from: "customers c join accounts a on a.customer_id = c.id join payments p on p.account_id = a.id",
        compares: Compares::Name("c.name_fold"),
    },
    Source {
        id: "p.id",
        from: "customers c join payments p on p.customer_id = c.id and p.account_id is null",
        compares: Compares::Name("c.name_fold"),
    },
    Source {
        id: "p.id",
        from: "accounts a join payments p on p.account_id = a.id",
        compares: Compares::Number { terms: "a.number_terms", whole: Some("a.number_squash") },
    },
    Source { id: "p.id", from: "payments p", compares: Compares::Number { terms: "p.reference_terms", whole: None } },
    Source { id: "p.id", from: "payments p", compares: Compares::Words("p.search_fold") },
];
