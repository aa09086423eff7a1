-- What users are told of. The rows hold no names: texts are made when they are read, as far as the reader may see them.

create table notifications (
  id uuid primary key,
  version bigint not null default 1,
  user_id uuid not null
    constraint notifications_user_id_fkey references users on delete restrict,
  kind text not null
    constraint notifications_kind_length check (char_length(kind) between 1 and 100),
  -- What it is about; null if it is about several records.
  subject uuid,
  -- How many records it is about.
  count bigint not null default 1
    constraint notifications_count_positive check (count > 0),
  amount bigint,
  currency text,
  -- In which state it ended: of an import or a job.
  state text,
  due_date date,
  -- What has happened, once for each user.
  event text not null
    constraint notifications_event_length check (char_length(event) between 1 and 200),
  read_at timestamptz(3),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  constraint notifications_event_key unique (user_id, event)
);

create index notifications_user_id on notifications (user_id, id);
create index notifications_unread on notifications (user_id, kind) where read_at is null;
create index notifications_created_at on notifications (created_at);

-- No document shows a notification. It is in the stream so that it can be announced.
select make_searchable('notifications', embedded => '{read_at}', readable => '{id}');
grant delete on notifications to collections_server;

-- What a user does not want to be told of; all else is told.
create table notification_preferences (
  user_id uuid not null
    constraint notification_preferences_user_id_fkey references users on delete restrict,
  kind text not null
    constraint notification_preferences_kind_length check (char_length(kind) between 1 and 100),
  channel text not null
    constraint notification_preferences_channel_known check (channel in ('app')),
  is_enabled boolean not null,
  constraint notification_preferences_key primary key (user_id, kind, channel)
);

grant select, insert, update on notification_preferences to collections_server;

-- Who is told of what concerns an account: its assignee, or the managers if it has none who may read.
create function recipients(assignee uuid) returns setof uuid
  language sql
  stable
begin atomic
  with reader as (
    select u.id
    from users u
    join permissions p on p.role = u.role and p.permission = 'read'
    where u.id = assignee
    and u.disabled_at is null
  )
  select id
  from reader
  union all
  select u.id
  from users u
  join permissions p on p.role = u.role and p.permission = 'manage'
  where u.disabled_at is null
  and not exists (select from reader);
end;

-- How far the notifier is: a transaction stands here beside what it has written.
create table notifier (
  -- Everything in the audit log of transactions up to this one has been told of.
  done xid8 not null default pg_current_xact_id(),
  -- And of every job that had ended before.
  jobs_done timestamptz not null default now()
);
create unique index notifier_one on notifier ((true));
insert into notifier default values;
grant select, update on notifier to collections_server;
