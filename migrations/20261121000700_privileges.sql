-- Least privilege: no DDL, no truncate, no change of the ledger, no delete where deletion is soft.
do $$
begin
  execute format('revoke create on schema public from public');
  execute format('grant connect on database %I to collections_server, collections_sync', current_database());
end
$$;

grant usage on schema public to collections_server, collections_sync;

grant select, insert, update on
  users, sessions, customers, contact_points, addresses, accounts, payments, jobs, idempotency_keys
  to collections_server;
grant delete on sessions, contact_points, addresses, jobs, idempotency_keys to collections_server;
grant select, insert on ledger_entries to collections_server;
grant select on sync_state, index_generations, sync_fanout, sync_spill, sync_dead_letters to collections_server;

grant select on
  customers, contact_points, addresses, accounts, payments, ledger_entries
  to collections_sync;
grant select (id, username, name) on users to collections_sync;
grant select, insert, update, delete on
  sync_state, index_generations, sync_fanout, sync_spill, sync_dead_letters
  to collections_sync;
