-- One debt. Money is integer minor units of the account's one currency. `balance` is what the ledger says it is.
create table accounts (
  id uuid primary key,
  version bigint not null default 1,
  account_number text not null
    constraint accounts_account_number_key unique
    constraint accounts_account_number_length check (char_length(account_number) between 1 and 64),
  customer_id uuid not null
    constraint accounts_customer_id_fkey references customers on delete restrict,
  currency text not null
    constraint accounts_currency_form check (currency ~ '^[A-Z]{3}$'),
  balance bigint not null default 0,
  original_amount bigint not null default 0
    constraint accounts_original_amount_positive check (original_amount >= 0),
  due_date date,
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
  last_payment_at timestamptz(3),
  last_contact_at timestamptz(3),
  next_action_at timestamptz(3),
  tags text[] not null default '{}'
    constraint accounts_tags_count check (cardinality(tags) <= 50),
  custom jsonb not null default '{}'
    constraint accounts_custom_object check (jsonb_typeof(custom) = 'object'),
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
create index accounts_due_date on accounts (due_date, id) where status = 'open' and deleted_at is null;
create index accounts_created_at on accounts (created_at desc, id);
create index accounts_updated_at on accounts (updated_at, id);
create index accounts_number_squash on accounts (number_squash text_pattern_ops);
create index accounts_number_terms on accounts using gin (number_terms);
-- The replica identity: the stream tells when an account changes hands or its number, and the old owner.
create unique index accounts_identity on accounts (id, customer_id, account_number);
alter table accounts replica identity using index accounts_identity;

create trigger accounts_version
  before update on accounts
  for each row execute function count_version();

-- Money that came in, or is expected to. Without an account it is an unallocated receipt.
create table payments (
  id uuid primary key,
  version bigint not null default 1,
  account_id uuid
    constraint payments_account_id_fkey references accounts on delete restrict,
  customer_id uuid
    constraint payments_customer_id_fkey references customers on delete restrict,
  amount bigint not null
    constraint payments_amount_positive check (amount > 0),
  currency text not null
    constraint payments_currency_form check (currency ~ '^[A-Z]{3}$'),
  method text not null
    constraint payments_method_known check (method in ('credit_card', 'debit_card', 'bank_transfer', 'digital_wallet', 'upi',
      'paypal', 'cash', 'check', 'direct_debit', 'other')),
  status text not null default 'pending'
    constraint payments_status_known check (status in ('pending', 'success', 'failed', 'refunded', 'reversed')),
  receiver text
    constraint payments_receiver_length check (char_length(receiver) between 2 and 100),
  description text
    constraint payments_description_length check (char_length(description) between 1 and 500),
  reference text
    constraint payments_reference_length check (char_length(reference) between 1 and 100),
  failure_code text
    constraint payments_failure_code_length check (char_length(failure_code) between 1 and 50),
  failure_reason text
    constraint payments_failure_reason_length check (char_length(failure_reason) between 1 and 500),
  received_at timestamptz(3) not null default now(),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  created_by uuid
    constraint payments_created_by_fkey references users on delete restrict,
  updated_by uuid
    constraint payments_updated_by_fkey references users on delete restrict,
  deleted_at timestamptz(3),
  search_fold text not null generated always as (padded(coalesce(receiver, '') || ' ' || coalesce(description, ''))) stored,
  reference_terms text[] not null generated always as (number_terms(reference)) stored
);

create index payments_status_created_at on payments (status, created_at desc);
create index payments_method on payments (method);
create index payments_account_id_created_at on payments (account_id, created_at desc);
create index payments_customer_id on payments (customer_id) where customer_id is not null;
create index payments_created_at on payments (created_at desc, id);
create index payments_updated_at on payments (updated_at, id);
create index payments_search_fold on payments using gin (search_fold gin_trgm_ops);
create index payments_reference_terms on payments using gin (reference_terms);

create trigger payments_version
  before update on payments
  for each row execute function count_version();

-- Every movement of a balance, append only. A positive amount is owed more, a negative one less.
create table ledger_entries (
  id uuid primary key,
  account_id uuid not null
    constraint ledger_entries_account_id_fkey references accounts on delete restrict,
  kind text not null
    constraint ledger_entries_kind_known check (kind in ('opening', 'charge', 'fee', 'interest', 'payment', 'reversal', 'refund',
      'adjustment', 'write_off')),
  amount bigint not null
    constraint ledger_entries_amount_not_zero check (amount <> 0),
  payment_id uuid
    constraint ledger_entries_payment_id_fkey references payments on delete restrict,
  reason text
    constraint ledger_entries_reason_length check (char_length(reason) between 1 and 500),
  occurred_at timestamptz(3) not null default now(),
  created_at timestamptz(3) not null default now(),
  created_by uuid
    constraint ledger_entries_created_by_fkey references users on delete restrict
);

create index ledger_entries_account_id on ledger_entries (account_id, occurred_at desc, id);
create index ledger_entries_payment_id on ledger_entries (payment_id) where payment_id is not null;

create trigger ledger_entries_append_only
  before update or delete or truncate on ledger_entries
  for each statement execute function refuse_change();

-- The only thing that moves a balance. A statement's entries are summed first, so that a bulk load touches an account once.
create function post_ledger_entries() returns trigger
  language plpgsql
as $$
begin
  update accounts
  set
    balance = accounts.balance + posted.amount,
    last_payment_at = greatest(accounts.last_payment_at, posted.last_payment_at)
  from (
    select
      account_id,
      sum(amount)::bigint as amount,
      max(occurred_at) filter (where kind = 'payment') as last_payment_at
    from added
    group by account_id
  ) as posted
  where accounts.id = posted.account_id;
  return null;
end
$$;

create trigger ledger_entries_post
  after insert on ledger_entries
  referencing new table as added
  for each statement execute function post_ledger_entries();

-- At depth 1 the change comes from a client's own statement; the ledger's trigger arrives here at depth 2.
create function guard_balance() returns trigger
  language plpgsql
as $$
begin
  if pg_trigger_depth() < 2 then
    raise exception 'the balance of an account changes only by a ledger entry'
      using errcode = 'restrict_violation', constraint = 'accounts_balance_by_ledger';
  end if;
  return new;
end
$$;

create trigger accounts_balance_opens_at_zero
  before insert on accounts
  for each row when (new.balance <> 0) execute function guard_balance();

create trigger accounts_balance_by_ledger
  before update on accounts
  for each row when (new.balance is distinct from old.balance) execute function guard_balance();
