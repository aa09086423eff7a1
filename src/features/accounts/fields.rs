//! Accounts as a searchable collection: the table of fields, and where Postgres looks for words and numbers.

use super::account::{Account, STATUSES, computed};
use crate::features::customers::COLLECTION as CUSTOMERS;
use crate::features::resource;
use crate::fields;
use crate::search::FieldKind::{Currency, Day, Folded, Id, Integer, Keyword, Moment, Money, Object, Tags, Text};
use crate::search::filter::{Bound, Test, Value};
use crate::search::{Collection, Compares, Field, Filter, Include, Join, PastDue, Source, field};
use crate::values::personal::Personal;

/// Accounts as a searchable collection.
pub static COLLECTION: Collection = Collection {
    name: "accounts",
    template: include_str!("../../../index-templates/accounts.json"),
    revision: 3,
    fields: FIELDS,
    past_due: Some(PastDue { among: owed, due: DUE_DATE }),
    includes: &[Include { name: "customer", key: "customerId", collection: &CUSTOMERS }],
    sources: SOURCES,
    table: "accounts a",
    joins: &[
        Join { alias: "c", sql: "join customers c on c.id = a.customer_id" },
        Join { alias: "u", sql: "left join users u on u.id = a.assignee_id" },
    ],
    id: "a.id",
    version: "version",
    load: resource::load::<Account>,
    computed,
    permission: "read",
};

fields! { Account;
    id => Field::new("id", Id, "a.id").on_creation(),
    version => Field::shown("version", Integer).in_index(),
    account_number => Field::new("accountNumber", Text, "a.account_number").sortable().length(1, 64)
        .with_endings("accountNumberSuffix", "a.number_terms")
        .number_headings(&["account", "accountno", "accountid", "number", "loannumber", "invoicenumber", "contractnumber", "kontonummer"]),
    customer_id => Field::new("customerId", Id, "a.customer_id").writable(),
    customer_name => Field::new("customerName", Folded, "c.name_sort").at("search.sort").personal(Personal::Name).sortable()
        .with_words("search.name", "c.name_fold"),
    customer_external_id => Field::new("customerExternalId", Text, "c.external_id").sortable(),
    currency => Field::new("currency", Currency, "a.currency").sortable().on_creation()
        .headings(&["currencycode", "ccy", "währung"]),
    balance => Field::new("balance", Money, "a.balance").at("search.balance").sortable()
        .headings(&["amount", "amountdue", "amountowed", "outstanding", "outstandingamount", "openamount", "betrag"]),
    original_amount => Field::new("originalAmount", Money, "a.original_amount").at("search.originalAmount").sortable().on_creation()
        .headings(&["principal", "originalbalance", "initialamount"]),
    due_date => Field::new("dueDate", Day, "a.due_date").sortable().writable().headings(&["due", "payby", "fällig", "fälligkeit"]),
    status => Field::new("status", Keyword(&STATUSES), "a.status").sortable().writable().headings(&["accountstatus"]),
    assignee_id => Field::new("assigneeId", Id, "a.assignee_id").writable(),
    assignee_name => Field::shown("assigneeName", Text).in_index(),
    creditor => Field::new("creditor", Text, "a.creditor").sortable().length(1, 200)
        .headings(&["lender", "originalcreditor", "gläubiger"]),
    portfolio => Field::new("portfolio", Text, "a.portfolio").sortable().length(1, 100).headings(&["batch", "placement"]),
    product => Field::new("product", Text, "a.product").sortable().length(1, 100).headings(&["producttype", "accounttype"]),
    last_payment_at => Field::new("lastPaymentAt", Moment, "a.last_payment_at").sortable(),
    last_contact_at => Field::new("lastContactAt", Moment, "a.last_contact_at").sortable().writable(),
    next_action_at => Field::new("nextActionAt", Moment, "a.next_action_at").sortable().writable(),
    tags => Field::new("tags", Tags, "a.tags").writable().headings(&["labels"]),
    custom => Field::shown("custom", Object).personal(Personal::Text).writable(),
    created_at => Field::new("createdAt", Moment, "a.created_at").sortable(),
    created_by => Field::new("createdBy", Id, "a.created_by"),
    updated_at => Field::new("updatedAt", Moment, "a.updated_at").sortable(),
    updated_by => Field::new("updatedBy", Id, "a.updated_by"),
    deleted_at => Field::new("deletedAt", Moment, "a.deleted_at").sortable(),
}

/// Open and owed, as [`computed`] says.
fn owed() -> Filter {
    let more_than_nothing = Bound { value: Value::Integer(0), inclusive: false };
    Filter::All(vec![
        Filter::Leaf(STATUS, Test::In(vec![Value::Text("open".into())])),
        Filter::Leaf(BALANCE, Test::Range(Some(more_than_nothing), None)),
    ])
}

static STATUS: &Field = field(FIELDS, "status");
static BALANCE: &Field = field(FIELDS, "balance");
static DUE_DATE: &Field = field(FIELDS, "dueDate");

const SOURCES: &[Source] = &[
    Source { id: "a.id", from: "customers c join accounts a on a.customer_id = c.id", compares: Compares::Name("c.name_fold") },
    Source { id: "a.id", from: "accounts a", compares: Compares::Number { terms: "a.number_terms", whole: "a.number_squash" } },
    Source {
        id: "a.id",
        from: "customers c join accounts a on a.customer_id = c.id",
        compares: Compares::Number { terms: "(number_terms(c.external_id))", whole: "squash(c.external_id)" },
    },
    Source {
        id: "a.id",
        from: "contact_points p join accounts a on a.customer_id = p.customer_id",
        compares: Compares::Contacts("p"),
    },
];
