-- Durable background work. A worker takes a row with `for update skip locked` and holds it by a lease that it renews.

create table jobs (
  id uuid primary key,
  kind text not null
    constraint jobs_kind_length check (char_length(kind) between 1 and 100),
  lane text not null
    constraint jobs_lane_length check (char_length(lane) between 1 and 100),
  arguments json not null,
  state text not null default 'queued'
    constraint jobs_state_known check (state in ('queued', 'running', 'paused', 'succeeded', 'partial', 'failed', 'cancelled')),
  -- When a worker may take it: from then on if it is queued, and when its worker has not renewed the lease if it is running.
  due timestamptz not null default now(),
  -- Counts how often it was taken. A worker whose lease is not the latest changes nothing.
  lease bigint not null default 0,
  -- How often it was taken since its last chunk was committed.
  attempts integer not null default 0,
  -- What its worker does when the chunk under way ends.
  requested text
    constraint jobs_requested_known check (requested in ('pause', 'cancel')),
  -- Where the next chunk begins; null for the beginning.
  cursor json,
  -- The run has come to its end: what is left is to try pending items again.
  has_run boolean not null default false,
  total bigint,
  succeeded bigint not null default 0,
  failed bigint not null default 0,
  result_url text,
  error text,
  -- Holds no personal data.
  unique_key text
    constraint jobs_unique_key_length check (char_length(unique_key) between 1 and 200),
  created_by uuid
    constraint jobs_created_by_fkey references users on delete restrict,
  created_at timestamptz(3) not null default now(),
  started_at timestamptz(3),
  finished_at timestamptz(3),
  constraint jobs_finished check ((finished_at is not null) = (state in ('succeeded', 'partial', 'failed', 'cancelled')))
);

-- At most one unfinished job for a kind and its key.
create unique index jobs_unique_key on jobs (kind, unique_key) where state in ('queued', 'running', 'paused');
create index jobs_due on jobs (lane, due) where state in ('queued', 'running');
create index jobs_created_by on jobs (created_by, id);
create index jobs_finished_at on jobs (finished_at) where finished_at is not null;

-- What failed of a job, and what became of it when it was tried again.
create table job_items (
  id uuid primary key,
  job_id uuid not null
    constraint job_items_job_id_fkey references jobs on delete restrict,
  -- What the job calls it, such as the number of a row or an id.
  item text not null
    constraint job_items_item_length check (char_length(item) between 1 and 200),
  status text not null
    constraint job_items_status_known check (status in ('failed', 'pending', 'succeeded')),
  code text,
  message text,
  constraint job_items_item_key unique (job_id, item)
);

create index job_items_job_id on job_items (job_id, id);

-- What a job works on, if that is too much for its arguments: one row for each chunk.
create table job_parts (
  job_id uuid not null
    constraint job_parts_job_id_fkey references jobs on delete restrict,
  number integer not null,
  content json not null,
  constraint job_parts_pkey primary key (job_id, number)
);

-- The moment for which a schedule last enqueued its job.
create table job_schedules (
  name text primary key,
  due timestamptz not null
);

-- Wakes the workers when the transaction commits.
create function notify_workers() returns trigger
  language plpgsql
as $$
begin
  perform pg_notify('collections_jobs', new.lane);
  return null;
end
$$;

create trigger jobs_notify
  after insert or update of state on jobs
  for each row when (new.state = 'queued') execute function notify_workers();

grant select, insert, update, delete on jobs, job_items, job_parts, job_schedules to collections_server;
