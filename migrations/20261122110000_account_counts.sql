-- What others show of an account: payments its number and its owner, the owner what it is summed up from. Most changes of an account,
-- of its portfolio or its assignee, are of neither, and only the account's own document follows them.
alter table accounts
  add column shown integer not null default 0,
  add column summed integer not null default 0;

create function count_summed() returns trigger
  language plpgsql
as $$
begin
  new.summed := old.summed + 1;
  return new;
end
$$;

create trigger accounts_shown
  before update on accounts
  for each row when ((new.account_number, new.customer_id) is distinct from (old.account_number, old.customer_id))
  execute function count_shown();

create trigger accounts_summed
  before update on accounts
  for each row when (
    (new.customer_id, new.currency, new.balance, new.due_date, new.status, new.last_payment_at, new.deleted_at)
    is distinct from
    (old.customer_id, old.currency, old.balance, old.due_date, old.status, old.last_payment_at, old.deleted_at))
  execute function count_summed();

-- The owner stays in it, because the former one follows too.
drop index accounts_identity;
create unique index accounts_identity on accounts (id, customer_id, shown, summed);
alter table accounts replica identity using index accounts_identity;

alter publication collections set table
  customers (id, shown, version, deleted_at),
  contact_points (id, customer_id),
  addresses (id, customer_id),
  accounts (id, customer_id, shown, summed, version, deleted_at),
  payments (id, version, deleted_at),
  users (id, shown);
