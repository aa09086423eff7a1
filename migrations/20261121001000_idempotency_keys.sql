-- The stored response of a write, returned again to a client that repeats it. Stored in the transaction of the write itself, so
-- there is never one without the other.

create table idempotency_keys (
  caller text not null,
  key text not null
    constraint idempotency_keys_key_length check (char_length(key) between 1 and 255),
  -- Keyed, so that what a small body says cannot be guessed.
  request_hash bytea not null,
  status smallint not null,
  response bytea not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  constraint idempotency_keys_pkey primary key (caller, key)
);

create index idempotency_keys_expires_at on idempotency_keys (expires_at);

grant select, insert, update, delete on idempotency_keys to collections_server;
