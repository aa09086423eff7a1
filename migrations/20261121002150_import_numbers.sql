-- Two rows of one import may have different keys and still mean one number, such as the external id of customers found by e-mail.

alter table import_rows
  -- SHA-256 of a number besides the key that only one record can have.
  add column number_hash bytea;

create index import_rows_number_hash on import_rows (import_id, number_hash) where number_hash is not null;
