//! Activities as a searchable collection: the table of fields, and where Postgres looks for words and numbers.

use super::activity::Activity;
use crate::features::accounts::COLLECTION as ACCOUNTS;
use crate::features::customers::COLLECTION as CUSTOMERS;
use crate::features::resource;
use crate::fields;
use crate::search::FieldKind::{Flag, Folded, Id, Integer, Moment, Object, Text};
use crate::search::filter::{Test, Value};
use crate::search::{Collection, Compares, Field, Filter, Include, Join, Source, field};
use crate::values::ids::{AccountId, CustomerId};
use crate::values::personal::Personal;

/// Activities as a searchable collection.
pub static COLLECTION: Collection = Collection {
    name: "activities",
    template: include_str!("../../../index-templates/activities.json"),
    revision: 1,
    fields: FIELDS,
    past_due: None,
    includes: &[
        Include { name: "account", key: "accountId", collection: &ACCOUNTS },
        Include { name: "customer", key: "customerId", collection: &CUSTOMERS },
    ],
    sources: SOURCES,
    table: "activities t",
    joins: &[
        Join { alias: "a", sql: "join accounts a on a.id = t.account_id" },
        Join { alias: "c", sql: "join customers c on c.id = a.customer_id" },
        Join { alias: "u", sql: "left join users u on u.id = t.user_id" },
    ],
    id: "t.id",
    version: "version",
    load: resource::load::<Activity>,
    computed: resource::nothing_computed,
    permission: "read",
};

fields! { Activity;
    id => Field::new("id", Id, "t.id").on_creation(),
    version => Field::shown("version", Integer).in_index(),
    account_id => Field::new("accountId", Id, "t.account_id").on_creation(),
    account_number => Field::new("accountNumber", Text, "a.account_number").sortable(),
    customer_id => Field::new("customerId", Id, "c.id"),
    customer_name => Field::new("customerName", Folded, "c.name_sort").at("search.sort").personal(Personal::Name).sortable()
        .with_words("search.name", "c.name_fold"),
    user_id => Field::new("userId", Id, "t.user_id").on_creation(),
    user_name => Field::new("userName", Text, "coalesce(u.name, u.username)").sortable(),
    kind => Field::new("type", Text, "t.kind").sortable().length(1, 100)
        .headings(&["activitytype", "kind", "action", "activity"]),
    disposition => Field::new("disposition", Text, "t.disposition").sortable().length(1, 100)
        .headings(&["result", "outcome", "resultcode", "ergebnis"]),
    channel => Field::new("channel", Text, "t.channel").sortable().length(1, 50).headings(&["medium", "via"]),
    note => Field::shown("note", Text).personal(Personal::Text).length(1, 10_000)
        .headings(&["notes", "text", "comment", "comments", "description", "remark", "notiz"]),
    metadata => Field::shown("metadata", Object).writable(),
    is_pinned => Field::new("isPinned", Flag, "t.is_pinned").writable(),
    occurred_at => Field::new("occurredAt", Moment, "t.occurred_at").sortable().writable()
        .headings(&["date", "time", "when", "activitydate", "datum", "occurred", "contactdate"]),
    created_at => Field::new("createdAt", Moment, "t.created_at").sortable(),
    updated_at => Field::new("updatedAt", Moment, "t.updated_at").sortable(),
    created_by => Field::new("createdBy", Id, "t.created_by"),
    updated_by => Field::new("updatedBy", Id, "t.updated_by"),
    deleted_at => Field::new("deletedAt", Moment, "t.deleted_at").sortable(),
}

static ACCOUNT_ID: &Field = field(FIELDS, "accountId");
static CUSTOMER_ID: &Field = field(FIELDS, "customerId");

pub(super) fn of_account(id: AccountId) -> Filter {
    Filter::Leaf(ACCOUNT_ID, Test::In(vec![Value::Id(id.0)]))
}

pub(super) fn of_customer(id: CustomerId) -> Filter {
    Filter::Leaf(CUSTOMER_ID, Test::In(vec![Value::Id(id.0)]))
}

const SOURCES: &[Source] = &[
    Source {
        id: "t.id",
        from: "customers c join accounts a on a.customer_id = c.id join activities t on t.account_id = a.id",
        compares: Compares::Name("c.name_fold"),
    },
    Source {
        id: "t.id",
        from: "accounts a join activities t on t.account_id = a.id",
        compares: Compares::Number { terms: "a.number_terms", whole: "a.number_squash" },
    },
    Source { id: "t.id", from: "activities t", compares: Compares::Words("t.note_fold") },
];
