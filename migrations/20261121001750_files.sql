-- Files that every server and worker reaches: uploads, and what jobs write. Each is stored in parts of about a megabyte.

create table stored_files (
  id uuid primary key,
  name text not null
    constraint stored_files_name_length check (char_length(name) between 1 and 200),
  -- The sum of the parts.
  bytes bigint not null default 0,
  parts integer not null default 0,
  -- Of the whole content; null for a file that grew part by part.
  sha256 bytea
    constraint stored_files_sha256_length check (octet_length(sha256) = 32),
  created_by uuid
    constraint stored_files_created_by_fkey references users on delete restrict,
  created_at timestamptz(3) not null,
  expires_at timestamptz(3) not null
);

create index stored_files_expires_at on stored_files (expires_at);

create table stored_file_parts (
  file_id uuid not null
    constraint stored_file_parts_file_id_fkey references stored_files on delete cascade,
  part integer not null,
  content bytea not null
    constraint stored_file_parts_content_length check (octet_length(content) between 1 and 1048576),
  constraint stored_file_parts_pkey primary key (file_id, part)
);

-- A part is read as a whole, and most files are compressed already.
alter table stored_file_parts alter column content set storage external;

grant select, insert, update, delete on stored_files, stored_file_parts to collections_server;
