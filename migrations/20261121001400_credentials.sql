-- What stands for a user in the place of a password: the refresh tokens of sessions, and the API keys of machines. Only SHA-256 of
-- each is stored. It need not be slow, as for a password: no list of guesses leads to a random value of 18 or 32 bytes.

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

-- What a web page opens a socket with: good once, and for seconds. The socket lasts no longer than the token that asked for it.
create table tickets (
  hash bytea primary key
    constraint tickets_hash_length check (octet_length(hash) = 32),
  session_id uuid not null
    constraint tickets_session_id_fkey references sessions on delete restrict,
  token_expires_at timestamptz not null,
  expires_at timestamptz not null
);

create index tickets_expires_at on tickets (expires_at);

grant select, insert, delete on tickets to collections_server;

create table api_keys (
  id uuid primary key,
  owner_id uuid not null
    constraint api_keys_owner_id_fkey references users on delete restrict,
  name text not null
    constraint api_keys_name_length check (char_length(name) between 1 and 100),
  -- Of the secret part.
  hash bytea not null
    constraint api_keys_hash_length check (octet_length(hash) = 32),
  -- Names of permissions. The program grants none that it does not know, or that the owner lacks.
  scopes text[] not null
    constraint api_keys_scopes_length check (cardinality(scopes) between 1 and 20),
  created_at timestamptz(3) not null default now(),
  expires_at timestamptz(3),
  last_used_at timestamptz(3)
);

create index api_keys_owner_id on api_keys (owner_id, id);

grant select, insert, update, delete on api_keys to collections_server;

-- Servers cache keys for seconds, and hear at once that one was deleted or changed, or that its owner may do something else.
create function notify_of_changed_api_key() returns trigger
  language plpgsql
as $$
begin
  perform pg_notify('collections_forget', 'api_key:' || old.id);
  return null;
end
$$;

create trigger api_keys_notify_of_end
  after delete on api_keys
  for each row execute function notify_of_changed_api_key();

create trigger api_keys_notify_of_change
  after update on api_keys
  for each row when (
    (new.owner_id, new.hash, new.scopes, new.expires_at) is distinct from (old.owner_id, old.hash, old.scopes, old.expires_at))
  execute function notify_of_changed_api_key();

create function notify_of_keys_of_changed_user() returns trigger
  language plpgsql
as $$
begin
  perform pg_notify('collections_forget', 'api_key:' || id) from api_keys where owner_id = new.id;
  return null;
end
$$;

create trigger users_notify_of_api_keys
  after update on users
  for each row when ((new.role, new.disabled_at) is distinct from (old.role, old.disabled_at))
  execute function notify_of_keys_of_changed_user();
