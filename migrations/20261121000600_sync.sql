-- What the sync task knows about itself. Positions are WAL locations as integers.
create table sync_state (
  only_row boolean primary key default true
    constraint sync_state_one_row check (only_row),
  system_identifier text,
  timeline integer,
  slot text,
  -- The high bits of every document version; raised when positions may have gone back (fail-over, restore, lost slot).
  epoch integer not null default 1
    constraint sync_state_epoch_range check (epoch between 1 and 4095),
  confirmed bigint not null default 0,
  applied bigint not null default 0,
  -- Counts leaders. Whoever holds an older number may not swap an alias any more.
  lease bigint not null default 0,
  leader text,
  updated_at timestamptz not null default now()
);

insert into sync_state default values;

-- One physical index behind, or about to be behind, the alias of a collection.
create table index_generations (
  index_name text primary key,
  collection text not null,
  hash text not null,
  state text not null
    constraint index_generations_state_known check (state in ('building', 'live', 'retired')),
  cursor uuid,
  documents bigint not null default 0,
  lease bigint not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  swapped_at timestamptz
);

create unique index index_generations_live_key on index_generations (collection) where state = 'live';
create unique index index_generations_building_key on index_generations (collection) where state = 'building';

-- Large fan-outs wait here and run in chunks, with the version of the change that caused them.
create table sync_fanout (
  edge text not null,
  parent uuid not null,
  version bigint not null,
  cursor uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint sync_fanout_pkey primary key (edge, parent)
);

-- Keys that are still to be written when the index has been away for so long that memory would not hold them.
create table sync_spill (
  collection text not null,
  key uuid not null,
  version bigint not null,
  constraint sync_spill_pkey primary key (collection, key)
);

-- Documents that the index refuses. The rest flows on; these are retried by command, by repair and on deploy.
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

-- Keys only, and what tells whether others show the change: the sync task reads the rows again. The list is explicit, because a published
-- table cannot be made unlogged by accident and a new table has to be thought about.
create publication collections for table
  customers (id, shown),
  contact_points (id, customer_id),
  addresses (id, customer_id),
  accounts (id, customer_id, account_number),
  payments (id),
  users (id, shown);
