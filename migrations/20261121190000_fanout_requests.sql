-- A parent that changes again while its fan-out runs asks for another one. A running one comes to its end in any case, so that
-- renames without end cannot keep it from that.
alter table sync_fanout
  drop constraint sync_fanout_pkey,
  add column id bigint generated always as identity,
  add constraint sync_fanout_pkey primary key (id);

-- One that has not begun serves every change until it does.
create unique index sync_fanout_waiting_key on sync_fanout (edge, parent) where cursor is null;
