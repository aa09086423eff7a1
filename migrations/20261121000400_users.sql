-- People who sign in, and their sessions. User names and e-mail addresses are unique without regard to case.

create table users (
  id uuid primary key,
  version bigint not null default 1,
  username text not null
    constraint users_username_length check (char_length(username) between 2 and 100),
  email text
    constraint users_email_length check (char_length(email) between 3 and 254),
  name text
    constraint users_name_length check (char_length(name) between 1 and 200),
  role text not null default 'viewer'
    constraint users_role_known check (role in ('admin', 'manager', 'agent', 'viewer')),
  password_hash text not null,
  disabled_at timestamptz,
  -- When the lock after too many wrong passwords ends, or has ended; see login_failures.
  locked_until timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create unique index users_username_key on users (lower(username));
create unique index users_email_key on users (lower(email));

-- The sync does not see password hashes.
select make_searchable('users', embedded => '{username, name}', readable => '{id, username, name}');

-- One row per signed-in device. An access token names its session, so ending the session ends the token.
create table sessions (
  id uuid primary key,
  user_id uuid not null
    constraint sessions_user_id_fkey references users on delete restrict,
  device text
    constraint sessions_device_length check (char_length(device) <= 200),
  ip inet,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz
);

create index sessions_user_id on sessions (user_id);
create index sessions_expires_at on sessions (expires_at);

grant select, insert, update, delete on sessions to collections_server;

-- A user who is disabled, or gets another role or password, is signed out everywhere, also by a change made in psql.
create function end_sessions() returns trigger
  language plpgsql
as $$
begin
  update sessions
  set revoked_at = now()
  where user_id = new.id
  and revoked_at is null;
  return null;
end
$$;

create trigger users_end_sessions
  after update on users
  for each row when (
    (new.role, new.password_hash, new.disabled_at) is distinct from (old.role, old.password_hash, old.disabled_at))
  execute function end_sessions();

-- Servers cache sessions for seconds, by this key, and hear at once that one has ended.
create function notify_of_ended_session() returns trigger
  language plpgsql
as $$
begin
  perform pg_notify('collections_forget', 'session:' || new.id);
  return null;
end
$$;

create trigger sessions_notify_of_end
  after update on sessions
  for each row when (old.revoked_at is null and new.revoked_at is not null) execute function notify_of_ended_session();
