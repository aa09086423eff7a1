//! Payments as a searchable collection: the table of fields, and where Postgres looks for words and numbers.

use super::payment::Payment;
use super::status::STATUSES;
use crate::features::accounts::COLLECTION as ACCOUNTS;
use crate::features::customers::COLLECTION as CUSTOMERS;
use crate::features::resource;
use crate::fields;
use crate::search::FieldKind::{Currency, Folded, Id, Integer, Keyword, Moment, Money, Text};
use crate::search::filter::{Test, Value};
use crate::search::{Collection, Compares, Field, Filter, Include, Join, Source, field};
use crate::validate::Words;
use crate::values::ids::AccountId;
use crate::values::personal::Personal;

/// Payments as a searchable collection.
pub static COLLECTION: Collection = Collection {
    name: "payments",
    template: include_str!("../../../index-templates/payments.json"),
    revision: 3,
    fields: FIELDS,
    past_due: None,
    includes: &[
        Include { name: "account", key: "accountId", collection: &ACCOUNTS },
        Include { name: "customer", key: "customerId", collection: &CUSTOMERS },
    ],
    sources: SOURCES,
    table: "payments p",
    joins: &[
        Join { alias: "a", sql: "left join accounts a on a.id = p.account_id" },
        Join { alias: "c", sql: "left join customers c on c.id = coalesce(a.customer_id, p.customer_id)" },
    ],
    id: "p.id",
    version: "version",
    load: resource::load::<Payment>,
    computed: resource::nothing_computed,
    permission: "read",
};

pub(super) static METHODS: Words = Words {
    known: &[
        "credit_card",
        "debit_card",
        "bank_transfer",
        "digital_wallet",
        "upi",
        "paypal",
        "cash",
        "check",
        "direct_debit",
        "other",
    ],
    aliases: &[("card", "credit_card"), ("wallet", "digital_wallet"), ("cheque", "check")],
};

fields! { Payment;
    id => Field::new("id", Id, "p.id").on_creation(),
    version => Field::shown("version", Integer).in_index(),
    account_id => Field::new("accountId", Id, "p.account_id").writable(),
    account_number => Field::new("accountNumber", Text, "a.account_number").sortable(),
    customer_id => Field::new("customerId", Id, "c.id").writable(),
    customer_name => Field::new("customerName", Folded, "c.name_sort").at("search.sort").personal(Personal::Name).sortable()
        .with_words("search.name", "c.name_fold"),
    currency => Field::new("currency", Currency, "p.currency").sortable().writable().headings(&["currencycode", "ccy"]),
    amount => Field::new("amount", Money, "p.amount").at("search.amount").sortable().writable()
        .headings(&["paid", "amountpaid", "paymentamount", "sum", "betrag", "value"]),
    method => Field::new("method", Keyword(&METHODS), "p.method").sortable().writable()
        .headings(&["paymentmethod", "channel", "paymenttype"]),
    status => Field::new("status", Keyword(&STATUSES), "p.status").sortable().writable().headings(&["paymentstatus", "state"]),
    status_label => Field::shown("statusLabel", Text),
    receiver => Field::new("receiver", Text, "p.receiver").personal(Personal::Name).sortable().length(2, 100)
        .headings(&["recipient", "payee", "receivedby", "collector"]),
    description => Field::shown("description", Text).personal(Personal::Text).length(1, 500)
        .headings(&["note", "notes", "memo", "purpose", "comment", "remittance"]),
    reference => Field::new("reference", Text, "p.reference").sortable().length(1, 100)
        .number_headings(&["paymentid", "paymentreference", "transactionid", "transaction", "ref", "id", "receiptnumber"]),
    failure_code => Field::new("failureCode", Text, "p.failure_code").sortable().length(1, 50).headings(&["errorcode", "returncode"]),
    failure_reason => Field::shown("failureReason", Text).length(1, 500).headings(&["errormessage", "returnreason"]),
    received_at => Field::new("receivedAt", Moment, "p.received_at").sortable().writable()
        .headings(&["date", "paymentdate", "paidat", "paidon", "received", "receiveddate", "bookingdate", "valuedate"]),
    created_at => Field::new("createdAt", Moment, "p.created_at").sortable(),
    created_by => Field::new("createdBy", Id, "p.created_by"),
    updated_at => Field::new("updatedAt", Moment, "p.updated_at").sortable(),
    updated_by => Field::new("updatedBy", Id, "p.updated_by"),
    deleted_at => Field::new("deletedAt", Moment, "p.deleted_at").sortable(),
}

static ACCOUNT_ID: &Field = field(FIELDS, "accountId");

/// The payments of one account.
pub(super) fn of_account(id: AccountId) -> Filter {
    Filter::Leaf(ACCOUNT_ID, Test::In(vec![Value::Id(id.0)]))
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
        compares: Compares::Number { terms: "a.number_terms", whole: "a.number_squash" },
    },
    Source {
        id: "p.id",
        from: "payments p",
        compares: Compares::Number { terms: "p.reference_terms", whole: "squash(p.reference)" },
    },
    Source { id: "p.id", from: "payments p", compares: Compares::Words("p.search_fold") },
];
