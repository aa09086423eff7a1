-- What makes a table searchable: `make_searchable`, called once per table.

-- The sync streams this publication. It carries keys, counters and versions only; the sync reads the rows again.
create publication collections;

-- What `make_searchable` was called with last, by table, so that `restore_searchable` can do it again.
create table searchable_tables (
  name text primary key,
  parents text[] not null,
  embedded text[] not null,
  summarized text[] not null,
  readable text[] not null
);

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

-- Whether a table has a trigger that fires.
create function fires_trigger(table_name text, trigger_name text) returns boolean
  language sql
  stable
  return exists (
    select from pg_trigger
    where tgrelid = quote_ident(table_name)::regclass and tgname = trigger_name and tgenabled in ('O', 'A')
  );

-- The columns of an index in their order; none if there is no such index.
create function index_columns(index_name text) returns text[]
  language sql
  stable
  return array(
    select attname::text
    from pg_index
    join pg_attribute on attrelid = indexrelid
    where indexrelid = to_regclass(quote_ident(index_name)) and indisvalid
    order by attnum
  );

-- The columns that the stream carries of an old row; none if all of them or nothing.
create function replica_identity(table_name text) returns text[]
  language sql
  stable
  return array(
    select attribute.attname::text
    from pg_class
    join pg_index on indrelid = pg_class.oid and case relreplident when 'i' then indisreplident when 'd' then indisprimary end
    join pg_attribute attribute on attrelid = indexrelid
    where pg_class.oid = to_regclass(quote_ident(table_name))
    order by attnum
  );

-- The numbers of the publication and its tables in the catalogue: other ones if anything was dropped and added again.
create function publication_identity() returns text
  language sql
  stable
  return (
    select concat_ws('/', p.oid, (select string_agg(r.oid::text, ',' order by r.oid) from pg_publication_rel r where prpubid = p.oid))
    from pg_publication p
    where pubname = 'collections'
  );

-- Publishes the changes of a table, increments the version of a changed row, makes commits durable and lets the two roles use the
-- table; the right to delete is granted apart. A later migration calls it again when one of the lists grows. Each step locks the
-- table, so those that are in place are left out.
--
--   parents     Foreign keys whose documents follow a change of the row.
--   embedded    Columns that the documents of other rows repeat; `embedded_changes` counts their changes.
--   summarized  Columns that the parent's document sums up, or that of the row for analysts; `summary_changes` counts their
--               changes.
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
  is_changed boolean := not exists (
    select from searchable_tables t
    where t.name = make_searchable.name
      and t.parents = make_searchable.parents
      and t.embedded = make_searchable.embedded
      and t.summarized = make_searchable.summarized
      and t.readable = make_searchable.readable
  );
  identity text[] := array['id'] || parents;
  published text[];
  counter text;
  counted text[];
  before text := publication_identity();
begin
  for counter, counted in
    values ('embedded_changes', embedded), ('summary_changes', summarized)
  loop
    continue when counted = '{}';
    identity := identity || counter;
    continue when not is_changed and fires_trigger(name, name || '_' || counter);
    execute format('alter table %I add column if not exists %I integer not null default 0', name, counter);
    execute format(
      'create or replace trigger %I before update on %I for each row when ((%s) is distinct from (%s)) execute function %I()',
      name || '_' || counter, name, column_list(counted, 'new.'), column_list(counted, 'old.'), 'count_' || counter);
  end loop;

  if is_changed or not fires_trigger(name, name || '_version') then
    execute format(
      'create or replace trigger %I before update on %I for each row execute function increment_version()',
      name || '_version', name);
  end if;
  if is_changed or not fires_trigger(name, name || '_commit_durably') then
    execute format(
      'create or replace trigger %I before insert or update or delete or truncate on %I
        for each statement execute function commit_durably()',
      name || '_commit_durably', name);
  end if;

  if identity = '{id}' then
    if replica_identity(name) <> '{id}' then
      execute format('alter table %I replica identity default', name);
      execute format('drop index if exists %I', name || '_identity');
    end if;
  else
    if index_columns(name || '_identity') <> identity then
      execute format('alter table %I replica identity default', name);
      execute format('drop index if exists %I', name || '_identity');
      execute format('create unique index %I on %I (%s)', name || '_identity', name, column_list(identity));
    end if;
    if replica_identity(name) <> identity then
      execute format('alter table %I replica identity using index %I', name, name || '_identity');
    end if;
  end if;

  -- Rows are announced with their version, and as deleted once they are marked so.
  published := identity || array(
    select attname::text from pg_attribute where attrelid = name::regclass and attname in ('version', 'deleted_at') order by attnum
  );
  if not exists (
    select from pg_publication_tables
    where pubname = 'collections' and tablename = name and attnames::text[] @> published and rowfilter is null
  ) then
    if exists (select from pg_publication_tables where pubname = 'collections' and tablename = name) then
      execute format('alter publication collections drop table %I', name);
    end if;
    execute format('alter publication collections add table %I (%s)', name, column_list(published));
  end if;

  if is_changed then
    execute format('grant select, insert, update on %I to collections_server', name);
    execute format('grant select %s on %I to collections_sync', '(' || column_list(readable) || ')', name);
    delete from searchable_tables t where t.name = make_searchable.name;
    insert into searchable_tables values (name, parents, embedded, summarized, readable);
  end if;

  -- In one transaction no change is missed.
  if to_regclass('sync_state') is not null then
    execute 'update sync_state set publication = $1 where publication = $2' using publication_identity(), before;
  end if;
end
$$;

-- Restores what was dropped, disabled or changed since `make_searchable`. The sync may call it, with the rights of the owner.
create function restore_searchable() returns void
  language plpgsql
  security definer
  set search_path = public, pg_temp
as $$
begin
  if not exists (select from pg_publication where pubname = 'collections') then
    create publication collections;
  end if;
  if not (select pubinsert and pubupdate and pubdelete and pubtruncate from pg_publication where pubname = 'collections') then
    alter publication collections set (publish = 'insert, update, delete, truncate');
  end if;
  perform make_searchable(name, parents, embedded, summarized, readable) from searchable_tables;
end
$$;

revoke execute on function restore_searchable() from public;
grant execute on function restore_searchable() to collections_sync;
