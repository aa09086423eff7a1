//! Customers as a searchable collection: the table of fields, and where Postgres looks for words and numbers.

use super::customer::{Customer, KINDS, STATUSES};
use crate::features::resource;
use crate::fields;
use crate::search::FieldKind::{Currency, Day, Folded, Id, Integer, Keyword, Moment, Money, Object, Parts, Tags, Text};
use crate::search::{Collection, Compares, Field, Source};
use crate::values::personal::Personal::{self, Email, Name, Number};

/// Customers as a searchable collection.
pub static COLLECTION: Collection = Collection {
    name: "customers",
    template: include_str!("../../../index-templates/customers.json"),
    revision: 3,
    fields: FIELDS,
    past_due: None,
    includes: &[],
    sources: SOURCES,
    table: "customers c",
    joins: &[],
    id: "c.id",
    version: "version",
    load: resource::load::<Customer>,
    computed: resource::nothing_computed,
    permission: "read",
};

fields! { Customer;
    id => Field::new("id", Id, "c.id").on_creation(),
    version => Field::shown("version", Integer).in_index(),
    external_id => Field::new("externalId", Text, "c.external_id").sortable().length(1, 100).number_headings(&[
        "id", "recid", "recordid", "customerid", "customernumber", "customerno", "clientid", "debtorid", "kundennummer",
        "externalreference",
    ]),
    kind => Field::new("kind", Keyword(&KINDS), "c.kind").sortable().writable().headings(&["type", "customertype"]),
    name => Field::new("name", Folded, "c.name_sort").at("search.sort").sortable().length(1, 200)
        .personal(Name).with_words("search.name", "c.name_fold")
        .headings(&["fullname", "customername", "displayname", "debtorname", "debtor", "clientname"]),
    given_name => Field::new("givenName", Text, "c.given_name").personal(Name).sortable().length(1, 100)
        .headings(&["firstname", "forename", "vorname", "prénom", "prenom", "nombre"]),
    family_name => Field::new("familyName", Text, "c.family_name").personal(Name).sortable().length(1, 100)
        .headings(&["surname", "lastname", "nachname", "nom", "apellido", "apellidos"]),
    company_name => Field::new("companyName", Text, "c.company_name").personal(Name).sortable().length(1, 200)
        .headings(&["company", "organisation", "organization", "firma", "businessname"]),
    date_of_birth => Field::new("dateOfBirth", Day, "c.date_of_birth").personal(Personal::Text).sortable().writable()
        .forgiven_headings(&["dob", "birthday", "birthdate", "born", "geburtsdatum"]),
    tax_id => Field::shown("taxId", Text).personal(Number).in_index().length(1, 50)
        .number_headings(&["socsecid", "socialsecuritynumber", "ssn", "taxnumber", "vatid", "vatnumber", "tin", "steuernummer"]),
    language => Field::new("language", Text, "c.language").length(2, 35).headings(&["lang", "preferredlanguage"]),
    time_zone => Field::shown("timeZone", Text).in_index().length(1, 64).headings(&["tz"]),
    status => Field::new("status", Keyword(&STATUSES), "c.status").sortable().writable().headings(&["customerstatus"]),
    tags => Field::new("tags", Tags, "c.tags").writable().headings(&["labels"]),
    metadata => Field::shown("metadata", Object).personal(Personal::Text).writable(),
    custom => Field::shown("custom", Object).personal(Personal::Text).writable(),
    phone => Field::shown("phone", Text).personal(Number).headings(&[
        "customerphone", "phonenumber", "mobile", "mobilephone", "mobilenumber", "cell", "cellphone", "telephone", "tel", "telefon", "téléphone",
        "teléfono",
    ]),
    email => Field::shown("email", Text).personal(Email).headings(&["emailaddress", "mail", "correo", "customeremail"]),
    contact_points => Field::shown("contactPoints", Parts(CONTACT_POINT)).personal(Personal::Text),
    addresses => Field::shown("addresses", Parts(ADDRESS)).personal(Personal::Text),
    account_count => Field::new("accountCount", Integer, ACCOUNT_COUNT).sortable(),
    open_account_count => Field::new("openAccountCount", Integer, OPEN_ACCOUNT_COUNT).sortable(),
    currency => Field::new("currency", Currency, CURRENCY),
    balance => Field::new("balance", Money, BALANCE).at("search.balance").sortable(),
    balances => Field::shown("balances", Parts(OWED)),
    oldest_due_date => Field::new("oldestDueDate", Day, OLDEST_DUE_DATE).sortable(),
    last_payment_at => Field::new("lastPaymentAt", Moment, LAST_PAYMENT_AT).sortable(),
    created_at => Field::new("createdAt", Moment, "c.created_at").sortable(),
    created_by => Field::new("createdBy", Id, "c.created_by"),
    updated_at => Field::new("updatedAt", Moment, "c.updated_at").sortable(),
    updated_by => Field::new("updatedBy", Id, "c.updated_by"),
    deleted_at => Field::new("deletedAt", Moment, "c.deleted_at").sortable(),
}

const INDEXED: &str = r#"{ "type": "keyword" }"#;
const SHOWN: &str = r#"{ "type": "keyword", "index": false, "doc_values": false }"#;
const FLAG: &str = r#"{ "type": "boolean", "index": false, "doc_values": false }"#;

const CONTACT_POINT: &[(&str, &str)] = &[
    ("id", SHOWN),
    ("kind", INDEXED),
    ("value", SHOWN),
    ("normalized", SHOWN),
    ("label", INDEXED),
    ("isPrimary", FLAG),
    ("state", INDEXED),
];

const ADDRESS: &[(&str, &str)] = &[
    ("id", SHOWN),
    ("label", INDEXED),
    ("line1", SHOWN),
    ("line2", SHOWN),
    ("city", INDEXED),
    ("region", INDEXED),
    ("postalCode", INDEXED),
    ("country", INDEXED),
    ("isPrimary", FLAG),
];

const OWED: &[(&str, &str)] =
    &[("currency", INDEXED), ("amount", r#"{ "type": "double", "index": false, "doc_values": false }"#)];

// What a customer owes is kept nowhere but in the accounts, so it cannot be wrong; see `customer::select` for the same in a record.
const ACCOUNT_COUNT: &str = "(select count(*) from accounts o where o.customer_id = c.id and o.deleted_at is null)";
const OPEN_ACCOUNT_COUNT: &str =
    "(select count(*) from accounts o where o.customer_id = c.id and o.deleted_at is null and o.status = 'open')";
const CURRENCY: &str = "(select case when count(distinct o.currency) = 1 then min(o.currency) end
    from accounts o where o.customer_id = c.id and o.deleted_at is null)";
const BALANCE: &str = "(select case when count(distinct o.currency) = 1
      then least(greatest(sum(o.balance), -9223372036854775807), 9223372036854775806)::bigint end
    from accounts o where o.customer_id = c.id and o.deleted_at is null)";
const OLDEST_DUE_DATE: &str =
    "(select min(o.due_date) from accounts o where o.customer_id = c.id and o.deleted_at is null and o.status = 'open')";
const LAST_PAYMENT_AT: &str =
    "(select max(o.last_payment_at) from accounts o where o.customer_id = c.id and o.deleted_at is null)";

const SOURCES: &[Source] = &[
    Source { id: "c.id", from: "customers c", compares: Compares::Name("c.name_fold") },
    Source {
        id: "c.id",
        from: "customers c",
        compares: Compares::Number { terms: "c.number_terms", whole: "squash(c.external_id)" },
    },
    Source { id: "c.id", from: "customers c", compares: Compares::Number { terms: "c.number_terms", whole: "squash(c.tax_id)" } },
    Source { id: "p.customer_id", from: "contact_points p", compares: Compares::Contacts("p") },
    Source { id: "d.customer_id", from: "addresses d", compares: Compares::Words("d.search_fold") },
];
