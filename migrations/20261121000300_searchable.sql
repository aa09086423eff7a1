-- What makes a table searchable: `make_searchable`, called once per table.

-- The sync streams this publication. It carries keys, counters and versions only; the sync reads the rows again.
create publication collections;

create function count_embedded_changes() returns trigger
  language plpgsql
as $$
begin
  new.embedded_changes := old.embedded_changes + 1;
  return new;
end
$$;

create function count_summary_changes() returns trigger
  language plpgsql
as $$
begin
  new.summary_changes := old.summary_changes + 1;
  return new;
end
$$;

-- With `synchronous_commit = off` other sessions can read a commit before it is on disk; the index would keep it although a crash
-- of the server loses it. So a transaction that writes what the index shows waits for the disk, whatever the session's setting.
create function commit_durably() returns trigger
  language plpgsql
as $$
begin
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'local', true);
  end if;
  return null;
end
$$;

create function column_list(columns text[], prefix text default '') returns text
  language sql
  immutable
  return (select string_agg(prefix || quote_ident(name), ', ') from unnest(columns) as name);

-- Publishes the changes of a table, increments the version of a changed row, makes commits durable and lets the two roles use the
-- table; the right to delete is granted apart. A later migration calls it again when one of the lists grows.
--
--   parents     Foreign keys whose documents follow a change of the row.
--   embedded    Columns that the documents of other rows repeat; `embedded_changes` counts their changes.
--   summarized  Columns that the parent's document sums up; `summary_changes` counts their changes.
--   readable    The only columns that the sync may read; all if empty.
--
-- Parents and counters are the table's replica identity. The stream carries the old key only when one of its columns changed: so
-- the sync knows the former parent of a row that moved, and tells a rename, which a thousand documents follow, from every other
-- change.
create function make_searchable(
  name text,
  parents text[] default '{}',
  embedded text[] default '{}',
  summarized text[] default '{}',
  readable text[] default '{}'
) returns void
  language plpgsql
  set client_min_messages = warning
as $$
declare
  identity text[] := array['id'] || parents;
  published text[];
  counter text;
  counted text[];
begin
  for counter, counted in
    values ('embedded_changes', embedded), ('summary_changes', summarized)
  loop
    continue when counted = '{}';
    identity := identity || counter;
    execute format('alter table %I add column if not exists %I integer not null default 0', name, counter);
    execute format(
      'create or replace trigger %I before update on %I for each row when ((%s) is distinct from (%s)) execute function %I()',
      name || '_' || counter, name, column_list(counted, 'new.'), column_list(counted, 'old.'), 'count_' || counter);
  end loop;

  execute format(
    'create or replace trigger %I before update on %I for each row execute function increment_version()',
    name || '_version', name);
  execute format(
    'create or replace trigger %I before insert or update or delete or truncate on %I
      for each statement execute function commit_durably()',
    name || '_commit_durably', name);

  execute format('alter table %I replica identity default', name);
  execute format('drop index if exists %I', name || '_identity');
  if identity <> '{id}' then
    execute format('create unique index %I on %I (%s)', name || '_identity', name, column_list(identity));
    execute format('alter table %I replica identity using index %I', name, name || '_identity');
  end if;

  -- Rows with soft deletion are announced with their version.
  published := identity;
  if exists (select from pg_attribute where attrelid = name::regclass and attname = 'deleted_at') then
    published := published || '{version, deleted_at}'::text[];
  end if;
  if exists (select from pg_publication_tables where pubname = 'collections' and tablename = name) then
    execute format('alter publication collections drop table %I', name);
  end if;
  execute format('alter publication collections add table %I (%s)', name, column_list(published));

  execute format('grant select, insert, update on %I to collections_server', name);
  execute format('grant select %s on %I to collections_sync', '(' || column_list(readable) || ')', name);
end
$$;
