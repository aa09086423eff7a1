-- What the backlog owes: per collection the position from which on documents may still be missing.
alter table sync_state
  add column owed jsonb not null default '{}';

-- Fan-outs are taken in the order in which they were asked for.
create index sync_fanout_created_at on sync_fanout (created_at, edge, parent);

comment on table sync_spill is
  'Documents that have to be written again: left over from an outage of the index, or marked by a repair. '
  'The nil UUID stands for every document of the collection.';
