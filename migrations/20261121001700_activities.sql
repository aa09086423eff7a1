-- What was done about an account: calls, notes, letters, visits. People add to it; a correction keeps what stood there before.

create table activities (
  id uuid primary key,
  version bigint not null default 1,
  account_id uuid not null
    constraint activities_account_id_fkey references accounts on delete restrict,
  user_id uuid
    constraint activities_user_id_fkey references users on delete restrict,
  kind text not null
    constraint activities_kind_length check (char_length(kind) between 1 and 100),
  disposition text
    constraint activities_disposition_length check (char_length(disposition) between 1 and 100),
  channel text
    constraint activities_channel_length check (char_length(channel) between 1 and 50),
  note text
    constraint activities_note_length check (char_length(note) between 1 and 10000),
  metadata json not null default '{}'
    constraint activities_metadata_object check (json_typeof(metadata) = 'object'),
  is_pinned boolean not null default false,
  occurred_at timestamptz(3) not null default now()
    constraint activities_occurred_at_range check (occurred_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  created_by uuid
    constraint activities_created_by_fkey references users on delete restrict,
  updated_by uuid
    constraint activities_updated_by_fkey references users on delete restrict,
  deleted_at timestamptz(3),
  note_fold text not null generated always as (padded(coalesce(note, ''))) stored,
  constraint activities_says_something check (note is not null or disposition is not null)
);

-- As lists sort: what is missing comes last in either direction.
create index activities_account_id_occurred_at on activities (account_id, occurred_at desc nulls last, id);
create index activities_user_id on activities (user_id) where user_id is not null;
create index activities_created_at on activities (created_at desc nulls last, id);
create index activities_occurred_at on activities (occurred_at desc nulls last, id);
create index activities_updated_at on activities (updated_at, id);
create index activities_note_fold on activities using gin (note_fold gin_trgm_ops);

select make_searchable('activities');
select make_audited('activities', personal => '{note, metadata}');

-- What an activity said before it was corrected.
create table activity_corrections (
  activity_id uuid not null
    constraint activity_corrections_activity_id_fkey references activities on delete restrict,
  version bigint not null,
  kind text not null,
  disposition text,
  channel text,
  note text,
  metadata json not null,
  occurred_at timestamptz(3) not null,
  written_at timestamptz(3) not null,
  written_by uuid
    constraint activity_corrections_written_by_fkey references users on delete restrict,
  primary key (activity_id, version)
);

-- Inserted by the trigger alone.
grant select on activity_corrections to collections_server;

create function keep_correction() returns trigger
  language plpgsql
  security definer
  set search_path = public, pg_temp
as $$
begin
  insert into activity_corrections
  values (old.id, old.version, old.kind, old.disposition, old.channel, old.note, old.metadata, old.occurred_at, old.updated_at, old.updated_by);
  return null;
end
$$;

create trigger activities_keep_correction
  after update on activities
  for each row when (
    (new.kind, new.disposition, new.channel, new.note, new.metadata::text, new.occurred_at)
      is distinct from (old.kind, old.disposition, old.channel, old.note, old.metadata::text, old.occurred_at))
  execute function keep_correction();
