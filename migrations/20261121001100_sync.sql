-- What the sync keeps in Postgres: its checkpoint, its backlog, the indexes that it builds and what its checks have found.

-- One row. An LSN is stored as the number of bytes since 0/0.
create table sync_state (
  only_row boolean primary key default true
    constraint sync_state_one_row check (only_row),
  system_identifier text,
  timeline integer,
  slot text,
  -- The `publication_identity` that the stream follows. Null once it was found broken: changes were missed, whatever it is now.
  publication text,
  -- The high bits of every document version; raised when positions may have gone back: fail-over, restore, lost slot.
  epoch integer not null default 1
    constraint sync_state_epoch_range check (epoch between 1 and 4095),
  -- Every change up to here is in the index or in the backlog, so the slot may forget it. Saved before the slot is told: a slot
  -- that is further was moved by another process.
  confirmed_lsn bigint not null default 0,
  -- Searches find every change up to here, except those of the backlog.
  searchable_lsn bigint not null default 0,
  -- The confirmed LSN at which a leader began that could not read the high-water mark, as Elasticsearch was away. Until the mark is
  -- compared with it, the database may have gone back unnoticed. Null once it was.
  unverified_since bigint,
  -- For each collection with a backlog the first LSN whose changes may wait there.
  backlog_since jsonb not null default '{}',
  -- For each collection the moment before which searches find every change of it, by the clock of this server. It moves while the
  -- change stream flows, and only once the leader knows that this database has not gone back in time.
  searchable_at jsonb not null default '{}',
  -- Fencing token: every new leader increments it, and a write with an older one is refused.
  lease bigint not null default 0,
  leader text,
  -- Why the leader cannot work; null while it can.
  problem text,
  -- When the leader was last heard: it writes every second.
  heard_at timestamptz not null default now()
);

insert into sync_state default values;

-- One physical index that is, was or will be behind the alias of a collection. A rebuild is `building`, then `live` or `failed`;
-- a `live` one is `retired` by its successor.
create table index_generations (
  index_name text primary key,
  collection text not null,
  hash text not null,
  state text not null
    constraint index_generations_state_known check (state in ('building', 'live', 'retired', 'failed')),
  -- What an operator asks of the leader: to make it live again, or to remove it.
  wanted text
    constraint index_generations_wanted_known check (wanted in ('live', 'gone')),
  -- Every id up to here is in the index; null until the rebuild has created the index.
  cursor uuid,
  documents bigint not null default 0,
  -- Rows when the rebuild began, and documents per second since then.
  total bigint not null default 0,
  rate double precision not null default 0,
  -- Why the rebuild failed. A failed one is kept until the next rebuild of its collection begins.
  reason text,
  -- Each shard's checkpoint as Elasticsearch reports it; one that goes back shows that the index was restored to an older state.
  shard_checkpoints jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- A retired one receives every write until then, as the rollback target.
  expires_at timestamptz
);

create unique index index_generations_live_key on index_generations (collection) where state = 'live';
create unique index index_generations_building_key on index_generations (collection) where state = 'building';

-- Large fan-outs, done in chunks with the version of the change that caused them. A parent that changes again while its fan-out
-- runs gets another one; the running one always finishes, so endless renames cannot keep it from that.
create table sync_fanouts (
  id bigint generated always as identity
    constraint sync_fanouts_pkey primary key,
  edge text not null,
  parent uuid not null,
  version bigint not null,
  -- The last child written; null until the fan-out begins.
  cursor uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- A fan-out that has not begun serves every change until it does.
create unique index sync_fanouts_waiting_key on sync_fanouts (edge, parent) where cursor is null;
create index sync_fanouts_created_at on sync_fanouts (created_at, edge, parent);

-- Documents to write again: stored while the index was away, or enqueued by a repair. The nil UUID stands for every document
-- of the collection.
create table sync_backlog (
  collection text not null,
  key uuid not null,
  version bigint not null,
  constraint sync_backlog_pkey primary key (collection, key)
);

-- Documents that Elasticsearch refuses, set aside so that the rest can flow. A command, a repair or a deployment tries them
-- again.
create table sync_dead_letters (
  collection text not null,
  key uuid not null,
  version bigint not null,
  reason text not null,
  attempts integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint sync_dead_letters_pkey primary key (collection, key)
);

-- The anti-entropy sweep: the rolling comparison of each collection with its index. A new leader continues the run.
create table sync_sweeps (
  collection text primary key,
  index_name text not null,
  -- Null between two runs.
  started_at timestamptz default now(),
  -- The last id compared; the greatest possible id once all were.
  cursor uuid,
  -- Documents that differed, were enqueued to be written again and are still to be compared once more.
  enqueued uuid[] not null default '{}',
  checked bigint not null default 0,
  found bigint not null default 0,
  repaired bigint not null default 0,
  -- The last finished run. When it ended says nothing about changes that came while it ran, so only its start is kept.
  last_started_at timestamptz,
  last_checked bigint not null default 0,
  last_found bigint not null default 0,
  last_repaired bigint not null default 0,
  -- Of all runs.
  total_found bigint not null default 0,
  total_repaired bigint not null default 0
);

grant select on
  sync_state, index_generations, sync_fanouts, sync_backlog, sync_dead_letters, sync_sweeps
  to collections_server;
grant select, insert, update, delete on
  sync_state, index_generations, sync_fanouts, sync_backlog, sync_dead_letters, sync_sweeps
  to collections_sync;

-- How long the oldest open transaction has been writing; Postgres keeps its log for that long. Only the owner may see other
-- sessions, so the roles ask through a function that tells nothing else.
create function oldest_transaction_seconds() returns double precision
  language sql stable security definer
  set search_path = pg_catalog, pg_temp
  as $$
    select extract(epoch from now() - min(began))::double precision
    from (
      select xact_start as began from pg_stat_activity where backend_xid is not null
      union all
      select prepared from pg_prepared_xacts
    ) as transactions
  $$;

revoke execute on function oldest_transaction_seconds() from public;
grant execute on function oldest_transaction_seconds() to collections_server, collections_sync;

-- Lets the sync move the place from which its slot retains the log. Only a superuser can grant that, and Postgres 15 has no such
-- function; without it the slot retains up to 15 seconds more.
do $$
begin
  grant execute on function pg_log_standby_snapshot() to collections_sync;
exception
  when undefined_function or insufficient_privilege then
    raise notice 'the slot retains up to 15 seconds more of the log: %', sqlerrm;
end
$$;
