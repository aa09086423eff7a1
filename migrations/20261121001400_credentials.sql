-- What stands for a user in the place of a password: refresh tokens. Only their SHA-256 is stored. It need not be slow, as for a
-- password: no list of guesses leads to a random value of 32 bytes.

-- The tokens of a session, each of which is used once and followed by its successor. Used ones stay until they expire, so that
-- their reuse is noticed.
create table refresh_tokens (
  hash bytea primary key
    constraint refresh_tokens_hash_length check (octet_length(hash) = 32),
  session_id uuid not null
    constraint refresh_tokens_session_id_fkey references sessions on delete restrict,
  created_at timestamptz(3) not null default now(),
  expires_at timestamptz(3) not null,
  used_at timestamptz(3),
  -- The hash of the token that came after.
  successor bytea,
  constraint refresh_tokens_successor_when_used check ((used_at is null) = (successor is null))
);

-- A session has one token that can be used.
create unique index refresh_tokens_usable_key on refresh_tokens (session_id) where used_at is null;
create index refresh_tokens_session_id on refresh_tokens (session_id);
create index refresh_tokens_expires_at on refresh_tokens (expires_at);

grant select, insert, update, delete on refresh_tokens to collections_server;
