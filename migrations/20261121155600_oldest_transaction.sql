-- How long the oldest open transaction has been writing: for as long Postgres keeps its log. Only the owner may see other sessions, so
-- the roles ask through a function that tells nothing else.
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
