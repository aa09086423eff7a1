-- Every movement of a balance, append only. A positive amount raises what is owed, a negative one lowers it.

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

grant select, insert on ledger_entries to collections_server;
grant select on ledger_entries to collections_sync;

-- Moves the balance. A statement's entries are summed first, so that a bulk load updates an account once.
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

-- Refuses every other change of a balance, from psql too: such a statement is at trigger depth 1, the ledger's trigger at depth
-- 2.
create function refuse_balance_change() returns trigger
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
  for each row when (new.balance <> 0) execute function refuse_balance_change();

create trigger accounts_balance_by_ledger
  before update on accounts
  for each row when (new.balance is distinct from old.balance) execute function refuse_balance_change();
