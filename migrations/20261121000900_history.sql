-- A server that starts compares the schema's history with its own, to say in one sentence that it is too old.
do $$
begin
  if to_regclass('_sqlx_migrations') is not null then
    grant select on _sqlx_migrations to collections_server;
  end if;
end
$$;
