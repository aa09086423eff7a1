-- Who did what: an append-only log, whose entries are chained by hashes in the background.

-- `xid` and `id` are the order of the chain. The id alone would not do: a transaction that takes one early may commit late, behind
-- entries that are sealed already.
create table audit_log (
  id bigint not null generated always as identity,
  xid xid8 not null default pg_current_xact_id(),
  at timestamptz not null default clock_timestamp(),
  -- The user who did it, if a user did. No foreign key: to check one for each entry would cost as much as the entry.
  actor uuid,
  -- The role that was connected: of the server, or of a person at psql.
  login text not null default session_user,
  -- Of the request, as in its log line and its answer.
  request text
    constraint audit_log_request_length check (char_length(request) <= 64),
  action text not null
    constraint audit_log_action_known check (action in ('create', 'change', 'delete', 'truncate', 'read', 'search', 'export', 'reveal')),
  -- The table or collection: `customers`.
  kind text not null,
  subject uuid,
  -- What was created or deleted, as members; what changed, as members with the value before and after; what was searched. `json`
  -- keeps the text, which is hashed.
  details json,
  constraint audit_log_pkey primary key (xid, id)
);

create index audit_log_subject on audit_log (subject, xid, id) where subject is not null;
-- Timelines list the changes of a record by their moments.
create index audit_log_changes on audit_log (subject, at desc, id)
  where kind in ('accounts', 'customers') and action in ('create', 'change', 'delete');
create index audit_log_actor on audit_log (actor, xid, id) where actor is not null;
create index audit_log_at on audit_log using brin (at) with (autosummarize = on);

-- One link of the chain: the entries that follow those of the link before, each with its SHA-256, and the hash of all that.
create table audit_seals (
  number bigint primary key
    constraint audit_seals_number_positive check (number > 0),
  sealed_at timestamptz(3) not null default now(),
  -- Its last entry. It holds every entry behind that of the link before, up to this one.
  last_xid xid8 not null,
  last_id bigint not null,
  entries bigint[] not null,
  -- 32 bytes for each entry.
  digests bytea not null,
  -- Hash of the link before; of zeros for the first.
  previous bytea not null,
  hash bytea not null,
  -- By a key that the database does not know, so that a chain that was rewritten is not signed.
  signature bytea not null
);

create trigger audit_log_append_only
  before update or delete or truncate on audit_log
  for each statement execute function refuse_change();
create trigger audit_seals_append_only
  before update or delete or truncate on audit_seals
  for each statement execute function refuse_change();

grant select, insert on audit_log, audit_seals to collections_server;

-- Personal data and secrets are in the log as a keyed hash: two entries tell whether they have the same value, and not which.
create table audit_key (
  key bytea not null default sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
);
create unique index audit_key_one on audit_key ((true));
insert into audit_key default values;
grant select on audit_key to collections_server;

create function audit_mask(key bytea, value text) returns text
  language sql
  immutable
  return '"•' || left(encode(sha256(key || convert_to(value, 'UTF8')), 'hex'), 16) || '"';

-- What `make_audited` was called with, by table.
create table audited_tables (
  name text primary key,
  personal text[] not null,
  untold text[] not null
);
grant select on audited_tables to collections_server;

-- A member of an entry: `"status":"open"`; null if the value is.
create function audit_member(name text, type text, is_personal boolean, of text) returns text
  language sql
  immutable
  return case
    when is_personal then format('audit_mask(secret, %s.%I::text)', of, name)
    -- Its text is JSON already.
    when type = 'json' then format('%s.%I::text', of, name)
    else format('to_json(%s.%I)::text', of, name)
  end;

-- The body of the function that logs the changes of a table.
create function audit_body(name text, personal text[], untold text[]) returns text
  language plpgsql
  stable
as $$
declare
  -- Set by every write and trigger; the entry itself says them.
  counted constant text[] :=
    '{id, version, created_at, updated_at, created_by, updated_by, embedded_changes, summary_changes, last_seen_at}';
  -- Whose row it is: who created it, unless the transaction says who it was.
  creator text := 'null::uuid';
  subject text := 'null::uuid';
  is_personal boolean;
  col record;
  members text[];
  removed text[];
  changes text[];
begin
  for col in
    select attname::text as name, format_type(atttypid, null) as type
    from pg_attribute
    where attrelid = audit_body.name::regclass
    and attnum > 0
    and not attisdropped
    and attgenerated = ''
    order by attnum
  loop
    if col.name = 'id' then
      subject := '%s.id';
    elsif col.name in ('created_by', 'user_id', 'owner_id') then
      creator := format('after.%I', col.name);
    end if;
    continue when col.name = any(counted || untold);
    is_personal := col.name = any(personal);
    members := members || format('%L || %s', format('"%s":', col.name), audit_member(col.name, col.type, is_personal, 'after'));
    removed := removed || format('%L || %s', format('"%s":', col.name), audit_member(col.name, col.type, is_personal, 'before'));
    changes := changes || format(
      'case when before.%1$I%2$s is distinct from after.%1$I%2$s
          then %3$L || coalesce(%4$s, ''null'') || '','' || coalesce(%5$s, ''null'') || '']'' end',
      col.name,
      case when col.type = 'json' then '::text' else '' end,
      format('"%s":[', col.name),
      audit_member(col.name, col.type, is_personal, 'before'),
      audit_member(col.name, col.type, is_personal, 'after'));
  end loop;
  return format(
    $body$
declare
  secret constant bytea := (select key from audit_key);
  by_user constant uuid := nullif(current_setting('collections.actor', true), '')::uuid;
  of_request constant text := nullif(current_setting('collections.request', true), '');
begin
  if tg_op = 'INSERT' then
    insert into audit_log (actor, request, action, kind, subject, details)
    select coalesce(by_user, %1$s), of_request, 'create', %2$L, %3$s, ('{' || concat_ws(',',
      %4$s) || '}')::json
    from new_rows as after;
  elsif tg_op = 'UPDATE' then
    insert into audit_log (actor, request, action, kind, subject, details)
    select by_user, of_request, 'change', %2$L, %3$s, ('{' || changes || '}')::json
    from (
      select %5$s, concat_ws(',',
      %6$s) as changes
      from new_rows as after
      full join old_rows as before on %7$s
    ) as after
    -- What only counts the change of another row is no change.
    where changes <> '';
  elsif tg_op = 'DELETE' then
    insert into audit_log (actor, request, action, kind, subject, details)
    select by_user, of_request, 'delete', %2$L, %8$s, ('{' || concat_ws(',',
      %9$s) || '}')::json
    from old_rows as before;
  else
    insert into audit_log (actor, request, action, kind)
    values (by_user, of_request, 'truncate', %2$L);
  end if;
  return null;
end
$body$,
    creator,
    name,
    format(subject, 'after'),
    array_to_string(members, E',\n      '),
    case subject when '%s.id' then 'coalesce(after.id, before.id) as id' else 'null as id' end,
    array_to_string(changes, E',\n      '),
    case subject when '%s.id' then 'before.id = after.id' else 'false' end,
    format(subject, 'before'),
    array_to_string(removed, E',\n      '));
end
$$;

-- Logs every change of a table from now on, whatever makes it: a request, an import or a person at psql. A later migration that adds
-- a column calls it again.
--
--   personal  Columns whose values are personal data or secrets.
--   untold    Columns whose changes say nothing of their own.
--   derived   Whether changes that triggers make follow from entries of other tables.
create function make_audited(
  name text,
  personal text[] default '{}',
  untold text[] default '{}',
  derived boolean default false
) returns void
  language plpgsql
  set client_min_messages = warning
as $$
declare
  event text;
  tables text;
begin
  execute format(
    'create or replace function %I() returns trigger language plpgsql as %L',
    'audit_' || name, audit_body(name, personal, untold));
  for event, tables in
    values
      ('insert', 'referencing new table as new_rows'),
      ('update', 'referencing old table as old_rows new table as new_rows'),
      ('delete', 'referencing old table as old_rows'),
      ('truncate', '')
  loop
    execute format(
      'create or replace trigger %I after %s on %I %s for each statement %s execute function %I()',
      name || '_audit_' || event, event, name, tables,
      case when derived and event = 'update' then 'when (pg_trigger_depth() = 0)' else '' end,
      'audit_' || name);
  end loop;
  insert into audited_tables values (name, personal, untold)
  on conflict on constraint audited_tables_pkey do update
  set
    personal = excluded.personal,
    untold = excluded.untold;
end
$$;

-- The names of personal columns are those of the tables of fields, which a test compares.
select make_audited('customers',
  personal => '{name, given_name, family_name, company_name, date_of_birth, tax_id, metadata, custom}');
select make_audited('contact_points', personal => '{value, normalized, label}');
select make_audited('addresses', personal => '{label, line1, line2, city, region, postal_code}');
-- The ledger's trigger moves the balance by its entries, which are logged.
select make_audited('accounts', personal => '{custom}', derived => true);
select make_audited('payments', personal => '{receiver, description}', untold => '{settled_version}');
select make_audited('ledger_entries', personal => '{reason}');
select make_audited('users', personal => '{email, name, password_hash}', untold => '{locked_version}');
-- A refresh prolongs a session, which says nothing new.
select make_audited('sessions', personal => '{device, ip}', untold => '{expires_at}');
select make_audited('permissions');
select make_audited('api_keys', personal => '{name, hash}', untold => '{last_used_at}');
-- What is searched for may be a person.
select make_audited('saved_searches', personal => '{name, query}');
