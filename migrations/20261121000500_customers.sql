-- The people and companies that owe, with their contact points and addresses.

-- `name` is what clients show; the server derives it from the parts when it is absent, and never the parts from it.
create table customers (
  id uuid primary key,
  version bigint not null default 1,
  external_id text
    constraint customers_external_id_key unique
    constraint customers_external_id_length check (char_length(external_id) between 1 and 100),
  kind text not null default 'person'
    constraint customers_kind_known check (kind in ('person', 'company')),
  name text not null
    constraint customers_name_length check (char_length(name) between 1 and 200),
  given_name text
    constraint customers_given_name_length check (char_length(given_name) between 1 and 100),
  family_name text
    constraint customers_family_name_length check (char_length(family_name) between 1 and 100),
  company_name text
    constraint customers_company_name_length check (char_length(company_name) between 1 and 200),
  -- Neither the server nor the index can hold a date outside these years, `infinity` for one.
  date_of_birth date
    constraint customers_date_of_birth_range check (date_of_birth between '0001-01-01' and '9999-12-31'),
  tax_id text
    constraint customers_tax_id_length check (char_length(tax_id) between 1 and 50),
  language text
    constraint customers_language_form check (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
  time_zone text
    constraint customers_time_zone_length check (char_length(time_zone) between 1 and 64),
  status text not null default 'active'
    constraint customers_status_known check (status in ('active', 'inactive', 'deceased', 'insolvent', 'blocked')),
  tags text[] not null default '{}'
    constraint customers_tags_count check (cardinality(tags) <= 50),
  metadata json not null default '{}'
    constraint customers_metadata_object check (json_typeof(metadata) = 'object'),
  custom json not null default '{}'
    constraint customers_custom_object check (json_typeof(custom) = 'object'),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  created_by uuid
    constraint customers_created_by_fkey references users on delete restrict,
  updated_by uuid
    constraint customers_updated_by_fkey references users on delete restrict,
  deleted_at timestamptz(3),
  -- What the Postgres engine searches and sorts by; generated, so that a change made in psql is found too.
  name_fold text not null generated always as (padded(
    name || ' ' || coalesce(given_name, '') || ' ' || coalesce(family_name, '') || ' ' || coalesce(company_name, ''))) stored,
  name_sort text not null generated always as (fold(
    coalesce(family_name || ' ' || coalesce(given_name, ''), company_name, name))) stored,
  number_terms text[] not null generated always as (number_terms(external_id) || number_terms(tax_id)) stored
);

create index customers_name_fold on customers using gin (name_fold gin_trgm_ops);
-- In the byte order of the index, so that a page from one engine can follow a page from the other.
create index customers_name_sort on customers (name_sort collate "C", id);
create index customers_external_id_squash on customers (squash(external_id) text_pattern_ops);
create index customers_tax_id_squash on customers (squash(tax_id) text_pattern_ops);
create index customers_number_terms on customers using gin (number_terms);
-- Accounts are found by their customer's own number alone.
create index customers_external_id_terms on customers using gin (number_terms(external_id));
-- Lists have what is missing last, in either direction; an index has to say the same, though nothing is missing here. The rest is
-- what most lists ask besides, so that a count need not visit the rows.
create index customers_created_at on customers (created_at desc nulls last, id) include (kind, status, deleted_at);
create index customers_updated_at on customers (updated_at, id);
create index customers_tags on customers using gin (tags);

-- What analysts see of a customer has no name, so the two lists share no column: a rename writes nothing for them.
select make_searchable('customers',
  embedded => '{name, given_name, family_name, company_name, external_id}',
  summarized => '{kind, date_of_birth, language, status, created_at, deleted_at}');

-- Phones and e-mail addresses, several per customer, one primary per kind. `normalized` is E.164 or the lower-cased address; a
-- number that fits no numbering plan keeps its digits, because a wrong number is a fact of collections and not an input error.
create table contact_points (
  id uuid primary key,
  version bigint not null default 1,
  customer_id uuid not null
    constraint contact_points_customer_id_fkey references customers on delete restrict,
  kind text not null
    constraint contact_points_kind_known check (kind in ('phone', 'email')),
  value text not null
    constraint contact_points_value_length check (char_length(value) between 3 and 254),
  normalized text not null
    constraint contact_points_normalized_length check (char_length(normalized) between 3 and 254),
  label text
    constraint contact_points_label_length check (char_length(label) between 1 and 50),
  is_primary boolean not null default false,
  state text not null default 'unverified'
    constraint contact_points_state_known check (state in ('unverified', 'valid', 'wrong', 'blocked')),
  consent jsonb not null default '{}'
    constraint contact_points_consent_object check (jsonb_typeof(consent) = 'object'),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  suffixes text[] generated always as (case kind when 'phone' then suffixes(normalized) end) stored,
  constraint contact_points_value_key unique (customer_id, kind, normalized)
);

create unique index contact_points_primary_key on contact_points (customer_id, kind) where is_primary;
create index contact_points_normalized on contact_points (normalized text_pattern_ops);
create index contact_points_email on contact_points using gin (normalized gin_trgm_ops) where kind = 'email';
create index contact_points_suffixes on contact_points using gin (suffixes);

select make_searchable('contact_points', parents => '{customer_id}');
grant delete on contact_points to collections_server;

create table addresses (
  id uuid primary key,
  version bigint not null default 1,
  customer_id uuid not null
    constraint addresses_customer_id_fkey references customers on delete restrict,
  label text
    constraint addresses_label_length check (char_length(label) between 1 and 50),
  line1 text not null
    constraint addresses_line1_length check (char_length(line1) between 1 and 200),
  line2 text
    constraint addresses_line2_length check (char_length(line2) between 1 and 200),
  city text
    constraint addresses_city_length check (char_length(city) between 1 and 100),
  region text
    constraint addresses_region_length check (char_length(region) between 1 and 100),
  postal_code text
    constraint addresses_postal_code_length check (char_length(postal_code) between 1 and 20),
  country text
    constraint addresses_country_form check (country ~ '^[A-Z]{2}$'),
  is_primary boolean not null default false,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  search_fold text not null generated always as (padded(
    line1 || ' ' || coalesce(line2, '') || ' ' || coalesce(city, '') || ' ' || coalesce(region, '') || ' '
    || coalesce(postal_code, ''))) stored
);

create unique index addresses_primary_key on addresses (customer_id) where is_primary;
create index addresses_customer_id on addresses (customer_id);
create index addresses_search_fold on addresses using gin (search_fold gin_trgm_ops);

select make_searchable('addresses', parents => '{customer_id}');
grant delete on addresses to collections_server;
