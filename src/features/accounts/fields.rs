//! Accounts as a searchable collection: what lists filter, sort and look for.

use chrono::NaiveDate;

use super::{document, patch};
use crate::search::FieldKind::{Currency, Day, Folded, Id, Moment, Money, Tags, Text};
use crate::search::filter::{Bound, Test, Value};
use crate::search::{Collection, Compares, Field, Filter, Shortcut, Source};

/// Accounts as a searchable collection.
pub static COLLECTION: Collection = Collection {
    name: "accounts",
    template: include_str!("../../../index-templates/accounts.json"),
    revision: 1,
    fields: FIELDS,
    shortcuts: &[Shortcut { name: "overdue", filter: overdue }],
    sources: SOURCES,
    from: "accounts a join customers c on c.id = a.customer_id left join users u on u.id = a.assignee_id",
    id: "a.id",
    load: document::load,
};

static STATUS: Field = Field::keyword("status", &patch::STATUSES, "a.status").sortable();
static BALANCE: Field = Field::new("balance", Money, "a.balance").sortable();
static DUE_DATE: Field = Field::new("dueDate", Day, "a.due_date").sortable();

static FIELDS: &[Field] = &[
    Field::new("id", Id, "a.id"),
    Field::new("accountNumber", Text, "a.account_number").sortable().with_endings("search.numberSuffix", "a.number_terms"),
    Field::new("customerId", Id, "a.customer_id"),
    Field::new("customerName", Folded, "c.name_sort").at("search.sort").sortable(),
    Field::new("customerExternalId", Text, "c.external_id").sortable(),
    Field::new("currency", Currency, "a.currency").sortable(),
    BALANCE,
    Field::new("originalAmount", Money, "a.original_amount").sortable(),
    DUE_DATE,
    STATUS,
    Field::new("assigneeId", Id, "a.assignee_id"),
    Field::new("creditor", Text, "a.creditor").sortable(),
    Field::new("portfolio", Text, "a.portfolio").sortable(),
    Field::new("product", Text, "a.product").sortable(),
    Field::new("lastPaymentAt", Moment, "a.last_payment_at").sortable(),
    Field::new("lastContactAt", Moment, "a.last_contact_at").sortable(),
    Field::new("nextActionAt", Moment, "a.next_action_at").sortable(),
    Field::new("tags", Tags, "a.tags"),
    Field::new("createdAt", Moment, "a.created_at").sortable(),
    Field::new("updatedAt", Moment, "a.updated_at").sortable(),
    Field::new("deletedAt", Moment, "a.deleted_at").sortable(),
];

/// Open, owed and past its day: as [`document::Account::view`] says it.
fn overdue(today: NaiveDate) -> Filter {
    let owed = Bound { value: Value::Integer(0), inclusive: false };
    let past = Bound { value: Value::Day(today), inclusive: false };
    Filter::All(vec![
        Filter::Leaf(&STATUS, Test::In(vec![Value::Text("open".into())])),
        Filter::Leaf(&BALANCE, Test::Range(Some(owed), None)),
        Filter::Leaf(&DUE_DATE, Test::Range(None, Some(past))),
    ])
}

const SOURCES: &[Source] = &[
    Source { id: "a.id", from: "customers c join accounts a on a.customer_id = c.id", compares: Compares::Name("c.name_fold") },
    Source {
        id: "a.id",
        from: "accounts a",
        compares: Compares::Number { terms: "a.number_terms", whole: Some("a.number_squash") },
    },
    Source {
        id: "a.id",
        from: "customers c join accounts a on a.customer_id = c.id",
        compares: Compares::Number { terms: "c.number_terms", whole: None },
    },
    Source {
        id: "a.id",
        from: "contact_points p join accounts a on a.customer_id = p.customer_id",
        compares: Compares::Contacts("p"),
    },
];
