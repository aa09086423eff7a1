-- Lets the sync move the place from which its slot keeps the log. Only a superuser can grant that, and Postgres 15 has no such
-- function; without it the slot keeps some seconds more.
do $$
begin
  grant execute on function pg_log_standby_snapshot() to collections_sync;
exception
  when undefined_function or insufficient_privilege then
    raise notice 'the slot keeps up to 15 seconds of the log: %', sqlerrm;
end
$$;
