-- The house style, the roles and what every table shares.
--
-- One file per noun; it holds the tables of that noun with their indexes, triggers and grants. Migrations only go forward: a file
-- that was released is never edited.
--   * Keywords and names are lower-case, one clause to a line. Tables are plural, constraints are named `table_column_rule`: the
--     server maps the name of a violated constraint to an error.
--   * Ids are UUIDv7 made by the server, so inserts stay near the end of every index.
--   * Enumerations are text with a check, so that adding a value is one cheap migration.
--   * Free JSON is `json` and not `jsonb`, which would rewrite its numbers.
--   * Money is `bigint` in minor units beside its currency. Moments are `timestamptz(3)`, because the wire and the index show
--     milliseconds; days are `date`. Nothing that depends on today is stored.
--   * A row that clients change has `version` (its ETag), `created_at` and `updated_at`; `deleted_at` where deletion is soft.
--   * Foreign keys restrict: the server deletes, never a cascade.

-- The Postgres search engine finds misspelt names by trigrams.
create extension if not exists pg_trgm;

-- The server and the sync act as these roles, never as the owner of the schema. Roles belong to the whole cluster, so two
-- databases that migrate at the same moment may both try to create them.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['collections_server', 'collections_sync'] loop
    begin
      if not exists (select from pg_roles where rolname = wanted) then
        execute format('create role %I nologin', wanted);
      end if;
    exception
      when duplicate_object or unique_violation then
        null;
      when insufficient_privilege then
        raise exception 'role % is missing and % may not create it', wanted, current_user
          using hint = format('As a superuser: create role %I nologin; grant %I to %I;', wanted, wanted, current_user);
    end;
  end loop;

  -- Least privilege: no DDL, no truncate, no change of the ledger, no delete where deletion is soft.
  execute format('grant connect on database %I to collections_server, collections_sync', current_database());
  revoke create on schema public from public;
  grant usage on schema public to collections_server, collections_sync;

  -- At its start the server checks that no migration is missing.
  if to_regclass('_sqlx_migrations') is not null then
    grant select on _sqlx_migrations to collections_server;
  end if;
end
$$;

-- Increments the version of a row. The version is the ETag, so an update that changes nothing keeps it. Rows are compared by their
-- bytes, because `json` has no equality.
create function increment_version() returns trigger
  language plpgsql
as $$
begin
  if new *<> old then
    new.version := old.version + 1;
    new.updated_at := now();
  end if;
  return new;
end
$$;

-- Runs an update of the server; false if another row has the value of a unique column. Postgres logs such a violation with the
-- value, which may be personal data, unless it is caught.
create function try_update(statement text, id uuid, changes text, by uuid) returns boolean
  language plpgsql
as $$
begin
  execute statement using id, changes, by;
  return true;
exception
  when unique_violation then
    return false;
end
$$;

create function refuse_change() returns trigger
  language plpgsql
as $$
begin
  raise exception '% is append only', tg_table_name
    using errcode = 'restrict_violation', constraint = tg_table_name || '_append_only';
end
$$;
