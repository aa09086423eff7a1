-- What analysts see besides the rows: pseudonyms, daily snapshots, samples of the product's own work.

-- One row.
create table analytics_state (
  only_row boolean primary key default true
    constraint analytics_state_one_row check (only_row),
  -- Of the pseudonyms. It stays when secrets are changed, so that figures of last year can be compared.
  key bytea not null default sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
  -- The setting `ANALYTICS` with which the indices were built.
  setting text not null default 'off'
    constraint analytics_state_setting_known check (setting in ('off', 'on', 'agents'))
);

insert into analytics_state default values;
grant select, update (setting) on analytics_state to collections_sync;

-- By it documents refer to each other, and without the key it leads to no row. Both parts have a fixed length, so that a plain hash
-- of them will do.
create function pseudonym(key bytea, id uuid) returns text
  language sql
  immutable
  return encode(substr(sha256(key || uuid_send(id)), 1, 16), 'hex');

-- For what was posted since a midnight; entries are only appended.
create index ledger_entries_created_at on ledger_entries using brin (created_at);

-- Days of which there is a snapshot. A day ends at midnight in the zone of the server.
create table snapshot_days (
  day date primary key,
  -- The moment of that midnight.
  ended_at timestamptz(3) not null,
  -- It was made later: balances are those that the ledger tells, due dates and states those of the time when it was made.
  is_from_ledger boolean not null,
  created_at timestamptz(3) not null default now()
);

-- What was owed on an open account at the end of a day.
create table account_snapshots (
  day date not null
    constraint account_snapshots_day_fkey references snapshot_days on delete restrict,
  account_id uuid not null
    constraint account_snapshots_account_id_fkey references accounts on delete restrict,
  currency text not null,
  portfolio text,
  balance bigint not null,
  -- The number of the ageing bucket, from 1, and its name.
  age integer not null,
  bucket text not null,
  primary key (day, account_id)
);

-- How accounts moved from one ageing bucket to another on a day, summed. Amounts are in minor units.
create table snapshot_transitions (
  id uuid primary key,
  version bigint not null default 1,
  day date not null
    constraint snapshot_transitions_day_fkey references snapshot_days on delete restrict,
  currency text not null,
  portfolio text,
  -- `none` if nothing was owed; null if there is no snapshot of an earlier day.
  bucket_before text,
  -- `none` if nothing is owed.
  bucket_after text not null,
  movement text
    constraint snapshot_transitions_movement_known check (movement in ('new', 'worse', 'same', 'better', 'cured')),
  accounts bigint not null,
  balance_before bigint not null,
  balance_after bigint not null,
  updated_at timestamptz(3) not null default now()
);

create unique index snapshot_transitions_key
  on snapshot_transitions (day, currency, portfolio, bucket_before, bucket_after) nulls not distinct;

-- One a minute of each process.
create table operation_samples (
  id uuid primary key,
  version bigint not null default 1,
  sampled_at timestamptz(3) not null,
  process text not null,
  role text not null,
  lag_ms bigint,
  backlog bigint not null,
  dead_letters bigint not null,
  lists bigint not null,
  fallbacks bigint not null,
  requests bigint not null,
  request_ms bigint,
  updated_at timestamptz(3) not null default now()
);

create index operation_samples_sampled_at on operation_samples (sampled_at);

grant select, insert on snapshot_days to collections_server;
grant select on snapshot_days to collections_sync;
grant select, insert, delete on account_snapshots to collections_server;
select make_searchable('snapshot_transitions');
select make_searchable('operation_samples');
grant delete on operation_samples to collections_server;
