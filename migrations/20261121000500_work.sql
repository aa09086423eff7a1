-- Durable background work. Workers take rows with `for update skip locked`; the lease says until when a taken row is theirs.
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

-- At most one unfinished job to a unique key.
create unique index jobs_unique_key on jobs (kind, unique_key) where state in ('queued', 'running', 'paused');
create index jobs_ready on jobs (priority desc, run_at) where state in ('queued', 'running');

-- The first answer of a write, kept to be repeated. Written in the transaction of its effect, so the two cannot part.
create table idempotency_keys (
  caller text not null,
  key text not null
    constraint idempotency_keys_key_length check (char_length(key) between 1 and 255),
  request_hash bytea not null,
  status smallint not null,
  response bytea not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  constraint idempotency_keys_pkey primary key (caller, key)
);

create index idempotency_keys_expires_at on idempotency_keys (expires_at);
