-- How far the rolling comparison of each collection with its index is, and what it has found. A new leader goes on from here.
create table sync_sweeps (
  collection text primary key,
  index_name text not null,
  -- Absent between two cycles.
  started_at timestamptz default now(),
  -- The last id that was compared; the greatest there can be once all were.
  cursor uuid,
  -- What was found different and asked to be written again, and has not been looked at since.
  marked uuid[] not null default '{}',
  checked bigint not null default 0,
  found bigint not null default 0,
  repaired bigint not null default 0,
  -- The last cycle that came to its end.
  last_started_at timestamptz,
  last_finished_at timestamptz,
  last_checked bigint not null default 0,
  last_found bigint not null default 0,
  last_repaired bigint not null default 0,
  -- Of all cycles.
  total_found bigint not null default 0,
  total_repaired bigint not null default 0
);

grant select on sync_sweeps to collections_server;
grant select, insert, update, delete on sync_sweeps to collections_sync;
