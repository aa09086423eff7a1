-- Rebuilds in ranges of ids that are filled side by side, and generations that are kept for a while after a swap.
alter table index_generations
  drop column cursor,
  -- Rows when the rebuild began, and documents per second since then.
  add column total bigint not null default 0,
  add column rate double precision not null default 0,
  -- What somebody asks for and the leader does: that lists read it again, or that it goes.
  add column wanted text
    constraint index_generations_wanted_known check (wanted in ('live', 'gone')),
  -- Until then a retired one receives every write, so that lists can go back to it.
  add column expires_at timestamptz;

-- One piece of a rebuild: the ids above `low`, up to and with `high`. Null is the end of the ids on that side, so the ranges of
-- an index always cover every id there can be.
create table index_ranges (
  index_name text not null
    constraint index_ranges_index_name_fkey references index_generations on delete cascade,
  number integer not null,
  low uuid,
  high uuid,
  -- Everything up to here is in the index.
  cursor uuid,
  documents bigint not null default 0,
  constraint index_ranges_pkey primary key (index_name, number)
);

grant select on index_ranges to collections_server;
grant select, insert, update, delete on index_ranges to collections_sync;
