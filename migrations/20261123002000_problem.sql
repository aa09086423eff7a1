-- What keeps the leader from its work, for everybody who asks.
alter table sync_state add column problem text;
