-- Exports that a job does. One lives as long as its file.

create table exports (
  id uuid primary key,
  collection text not null
    constraint exports_collection_length check (char_length(collection) between 1 and 100),
  -- Names and values, in pairs, as they were asked for.
  parameters json not null,
  format text not null
    constraint exports_format_known check (format in ('csv', 'xlsx', 'jsonl')),
  -- Whether personal data is masked in it.
  disclosure text not null
    constraint exports_disclosure_known check (disclosure in ('full', 'masked')),
  -- Asked for at the older address, whose readers know no byte order mark.
  is_older boolean not null,
  -- Of the complete file; null until then.
  rows bigint,
  file_id uuid not null
    constraint exports_file_id_fkey references stored_files on delete cascade,
  -- Null once the job was removed.
  job_id uuid
    constraint exports_job_id_fkey references jobs on delete set null,
  created_by uuid not null
    constraint exports_created_by_fkey references users on delete restrict,
  created_at timestamptz(3) not null
);

create unique index exports_file_id on exports (file_id);
create index exports_job_id on exports (job_id);
create index exports_created_by on exports (created_by, id);

grant select, insert, update, delete on exports to collections_server;
