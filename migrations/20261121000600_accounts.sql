-- Debts, one per account.

-- The server gives an account without a number the next one, so that people have something to quote.
create sequence account_numbers;
grant usage on sequence account_numbers to collections_server;

-- Skips numbers that clients chose themselves.
create function next_account_number() returns text
  language plpgsql
as $$
declare
  counted text;
  candidate text;
begin
  loop
    counted := nextval('account_numbers')::text;
    candidate := 'A' || lpad(counted, greatest(8, length(counted)), '0');
    exit when not exists (select from accounts where account_number = candidate);
  end loop;
  return candidate;
end
$$;

-- Money is in minor units of the account's one currency. `balance` is kept by the ledger.
create table accounts (
  id uuid primary key,
  version bigint not null default 1,
  account_number text not null default next_account_number()
    constraint accounts_account_number_key unique
    constraint accounts_account_number_length check (char_length(account_number) between 1 and 64),
  customer_id uuid not null
    constraint accounts_customer_id_fkey references customers on delete restrict,
  currency text not null
    constraint accounts_currency_form check (currency ~ '^[A-Z]{3}$'),
  balance bigint not null default 0,
  original_amount bigint not null default 0
    constraint accounts_original_amount_positive check (original_amount >= 0),
  due_date date
    constraint accounts_due_date_range check (due_date between '0001-01-01' and '9999-12-31'),
  status text not null default 'open'
    constraint accounts_status_known check (status in ('open', 'paused', 'settled', 'closed', 'written_off')),
  assignee_id uuid
    constraint accounts_assignee_id_fkey references users on delete restrict,
  creditor text
    constraint accounts_creditor_length check (char_length(creditor) between 1 and 200),
  portfolio text
    constraint accounts_portfolio_length check (char_length(portfolio) between 1 and 100),
  product text
    constraint accounts_product_length check (char_length(product) between 1 and 100),
  last_payment_at timestamptz(3)
    constraint accounts_last_payment_at_range check (last_payment_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
  last_contact_at timestamptz(3)
    constraint accounts_last_contact_at_range check (last_contact_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
  next_action_at timestamptz(3)
    constraint accounts_next_action_at_range check (next_action_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
  tags text[] not null default '{}'
    constraint accounts_tags_count check (cardinality(tags) <= 50),
  custom json not null default '{}'
    constraint accounts_custom_object check (json_typeof(custom) = 'object'),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  created_by uuid
    constraint accounts_created_by_fkey references users on delete restrict,
  updated_by uuid
    constraint accounts_updated_by_fkey references users on delete restrict,
  deleted_at timestamptz(3),
  number_squash text not null generated always as (squash(account_number)) stored,
  number_terms text[] not null generated always as (number_terms(account_number)) stored
);

create index accounts_customer_id on accounts (customer_id);
create index accounts_assignee_id on accounts (assignee_id) where assignee_id is not null;
-- As lists sort: what is missing comes last in either direction.
create index accounts_due_date on accounts (status, due_date, id) where deleted_at is null;
create index accounts_creditor on accounts (creditor, status, due_date, id) where deleted_at is null;
create index accounts_balance on accounts (balance desc nulls last, id) where deleted_at is null;
create index accounts_created_at on accounts (created_at desc nulls last, id);
create index accounts_updated_at on accounts (updated_at, id);
create index accounts_number_squash on accounts (number_squash text_pattern_ops);
create index accounts_number_terms on accounts using gin (number_terms);

select make_searchable('accounts',
  parents => '{customer_id}',
  embedded => '{account_number, customer_id}',
  summarized => '{customer_id, currency, balance, due_date, status, last_payment_at, deleted_at}');
