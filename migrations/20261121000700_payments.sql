-- Money that came in, or is expected to. A payment without an account is an unallocated receipt.

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
  received_at timestamptz(3) not null default now()
    constraint payments_received_at_range check (received_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  created_by uuid
    constraint payments_created_by_fkey references users on delete restrict,
  updated_by uuid
    constraint payments_updated_by_fkey references users on delete restrict,
  deleted_at timestamptz(3),
  -- The version with which the money came, at its latest.
  settled_version bigint,
  search_fold text not null generated always as (padded(coalesce(receiver, '') || ' ' || coalesce(description, ''))) stored,
  reference_terms text[] not null generated always as (number_terms(reference)) stored
);

-- As lists sort: what is missing comes last in either direction.
create index payments_status_created_at on payments (status, created_at desc nulls last, id);
create index payments_method on payments (method);
create index payments_account_id_created_at on payments (account_id, created_at desc nulls last, id);
create index payments_customer_id on payments (customer_id) where customer_id is not null;
create index payments_created_at on payments (created_at desc nulls last, id);
create index payments_updated_at on payments (updated_at, id);
create index payments_search_fold on payments using gin (search_fold gin_trgm_ops);
create index payments_reference_squash on payments (squash(reference) text_pattern_ops);
create index payments_reference_terms on payments using gin (reference_terms);

create function note_settlement() returns trigger
  language plpgsql
as $$
begin
  if new.status = 'success' and tg_op = 'INSERT' then
    new.settled_version := new.version;
  elsif new.status = 'success' and old.status <> 'success' then
    new.settled_version := old.version + 1;
  end if;
  return new;
end
$$;

create trigger note_settlement before insert or update of status on payments for each row execute function note_settlement();

select make_searchable('payments');
