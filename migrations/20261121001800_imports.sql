-- Imports of files: what was asked, the rows of the file as they were read, and what became of each.

create table imports (
  id uuid primary key,
  version bigint not null default 1,
  -- The program knows which targets there are, and the fields of each.
  target text not null
    constraint imports_target_length check (char_length(target) between 1 and 100),
  mode text not null
    constraint imports_mode_known check (mode in ('insert', 'update', 'upsert')),
  key_field text not null
    constraint imports_key_field_length check (char_length(key_field) between 1 and 100),
  blank text not null
    constraint imports_blank_known check (blank in ('keep', 'clear')),
  state text not null default 'uploaded'
    constraint imports_state_known check (
      state in (
        'uploaded', 'mapped', 'validating', 'validated', 'committing', 'committed', 'partial', 'failed', 'cancelled', 'undoing',
        'undone')),
  -- How far its user may move balances.
  authority text not null
    constraint imports_authority_known check (authority in ('ordinary', 'full')),
  -- No foreign key: the file is removed before the import is.
  file_id uuid,
  file_name text not null
    constraint imports_file_name_length check (char_length(file_name) between 1 and 255),
  sha256 bytea not null
    constraint imports_sha256_length check (octet_length(sha256) = 32),
  -- Null for the only sheet of a text.
  sheet text,
  header_row bigint not null default 1
    constraint imports_header_row_positive check (header_row > 0),
  options json not null default '{}',
  -- Below the headings; null while that is not known.
  rows bigint,
  -- The headings of the columns and their fields; null until it is mapped.
  columns json,
  -- Whether `import_rows` holds the rows of the sheet.
  is_staged boolean not null default false,
  -- How each column of days and amounts is read; null until all rows were looked at.
  forms json,
  -- Why it could not be validated; for its owner.
  problem text,
  -- Counts of the last validation, the commit and the undo.
  validated json not null default '{}',
  committed json not null default '{}',
  undone json not null default '{}',
  -- The job that works on it, or did last. No foreign key: old jobs are removed.
  job_id uuid,
  approved_by uuid
    constraint imports_approved_by_fkey references users on delete restrict,
  committed_at timestamptz(3),
  -- Null for an operator at the command line.
  created_by uuid
    constraint imports_created_by_fkey references users on delete restrict,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now()
);

create index imports_created_by on imports (created_by, id);
create index imports_sha256 on imports (sha256, target);

create trigger imports_version
  before update on imports
  for each row execute function increment_version();

select make_audited('imports',
  personal => '{file_name, sheet, columns, problem}',
  untold => '{options, rows, is_staged, forms, validated, committed, undone, job_id}');

-- One row of a sheet, and what became of it. Only its import leads to it, so a change of it is in no audit log: the record's is.
create table import_rows (
  import_id uuid not null
    constraint import_rows_import_id_fkey references imports on delete restrict,
  -- As the spreadsheet counts.
  number bigint not null,
  cells json not null,
  -- Why it could not be read; null if it could.
  broken json,
  status text not null default 'staged'
    constraint import_rows_status_known check (status in ('staged', 'validated', 'committed', 'reversed', 'kept', 'errored')),
  -- What was found, or done.
  action text
    constraint import_rows_action_known check (action in ('create', 'update', 'unchanged', 'skipped', 'error')),
  -- SHA-256 of the key, to find rows with the same: a key may be longer than an index takes.
  key_hash bytea,
  -- SHA-256 of another number that only one record can have, such as the external id of customers found by e-mail.
  number_hash bytea,
  record_id uuid,
  -- The version that the import left; a record with another has been changed since.
  record_version bigint,
  -- What the row created along with the record: table, id and version.
  companion json,
  -- The number by which later rows name it; null if there is none.
  companion_number text,
  -- The members of the record that changed, as they were.
  before json,
  -- For people: field, before and after.
  changes json,
  issues json,
  -- Why an undo kept the record or failed.
  reason text,
  constraint import_rows_pkey primary key (import_id, number)
);

create index import_rows_key_hash on import_rows (import_id, key_hash) where key_hash is not null;
create index import_rows_number_hash on import_rows (import_id, number_hash) where number_hash is not null;
create index import_rows_companion_number on import_rows (import_id, companion_number) where companion_number is not null;
create index import_rows_action on import_rows (import_id, action, number);

-- The fields that users gave to the headings of a file: files with the same headings are mapped alike.
create table import_mappings (
  target text not null,
  -- SHA-256 of the headings.
  fingerprint bytea not null
    constraint import_mappings_fingerprint_length check (octet_length(fingerprint) = 32),
  columns json not null,
  saved_by uuid
    constraint import_mappings_saved_by_fkey references users on delete restrict,
  saved_at timestamptz(3) not null default now(),
  constraint import_mappings_pkey primary key (target, fingerprint)
);

grant select, insert, update, delete on imports, import_rows, import_mappings to collections_server;
