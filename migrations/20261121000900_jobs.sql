-- Durable background work. Workers take rows with `for update skip locked` and hold them until `leased_until`.

create table jobs (
  id uuid primary key,
  kind text not null
    constraint jobs_kind_length check (char_length(kind) between 1 and 100),
  args jsonb not null default '{}',
  state text not null default 'queued'
    constraint jobs_state_known check (state in ('queued', 'running', 'paused', 'succeeded', 'partial', 'failed', 'cancelled')),
  priority smallint not null default 0,
  run_at timestamptz not null default now(),
  attempts integer not null default 0,
  progress jsonb not null default '{}',
  result jsonb,
  unique_key text,
  leased_until timestamptz,
  leased_by text,
  cancel_requested boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  created_by uuid
    constraint jobs_created_by_fkey references users on delete restrict
);

-- At most one unfinished job per unique key.
create unique index jobs_unique_key on jobs (kind, unique_key) where state in ('queued', 'running', 'paused');
create index jobs_ready on jobs (priority desc, run_at) where state in ('queued', 'running');

grant select, insert, update, delete on jobs to collections_server;
