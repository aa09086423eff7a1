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
  -- The version with which it was locked, at its latest.
  locked_version bigint,
  created_at timestamptz not null default now(),
  -- None for one who registered, or was made by an operator.
  created_by uuid
    constraint users_created_by_fkey references users on delete restrict,
  updated_at timestamptz not null default now(),
  updated_by uuid
    constraint users_updated_by_fkey references users on delete restrict
);

create unique index users_username_key on users (lower(username));
create unique index users_email_key on users (lower(email));

create function note_lock() returns trigger
  language plpgsql
as $$
begin
  new.locked_version := old.version + 1;
  return new;
end
$$;

create trigger users_note_lock
  before update of locked_until on users
  for each row when (new.locked_until is not null and new.locked_until is distinct from old.locked_until)
  execute function note_lock();

-- The sync does not see password hashes. `summary_changes` tells a lock from other changes, so that it can be announced.
select make_searchable('users', embedded => '{username, name}', summarized => '{locked_until}', readable => '{id, username, name}');

-- Without an enabled admin, none could be made. Changes that take one away wait for each other, so that each sees the one before.
create function keep_an_admin() returns trigger
  language plpgsql
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('users_last_admin', 0));
  if not exists (select from users where role = 'admin' and disabled_at is null) then
    raise exception 'the last enabled admin stays'
      using errcode = 'restrict_violation', constraint = 'users_last_admin';
  end if;
  return null;
end
$$;

create trigger users_keep_an_admin
  after update on users
  for each row when (
    old.role = 'admin' and old.disabled_at is null and (new.role <> 'admin' or new.disabled_at is not null))
  execute function keep_an_admin();

-- One row per signed-in device. An access token names its session, so ending the session ends the token.
create table sessions (
  id uuid primary key,
  version bigint not null default 1,
  user_id uuid not null
    constraint sessions_user_id_fkey references users on delete restrict,
  device text
    constraint sessions_device_length check (char_length(device) <= 200),
  -- Of the log-in, or of the latest refresh.
  ip inet,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  last_seen_at timestamptz(3) not null default now(),
  expires_at timestamptz(3) not null,
  revoked_at timestamptz(3)
);

create index sessions_user_id on sessions (user_id, id);
create index sessions_expires_at on sessions (expires_at);

-- No document shows a session. It is in the stream so that log-in and log-out can be announced: `embedded_changes` tells a log-out
-- from a session that was only seen. The sync sees neither the device nor its address.
select make_searchable('sessions', embedded => '{revoked_at}', readable => '{id, user_id, created_at, revoked_at}');
grant delete on sessions to collections_server;

-- A user who is disabled, or gets another role or password, is signed out everywhere, also by a change made in psql. A stronger
-- hash of the same password changes nothing for the user: the statement that stores it says so for its own transaction.
create function end_sessions() returns trigger
  language plpgsql
as $$
begin
  update sessions
  set revoked_at = now()
  where user_id = new.id
  and revoked_at is null
  -- The one that a user has changed the password from.
  and id::text is distinct from current_setting('collections.kept_session', true);
  return null;
end
$$;

create trigger users_end_sessions
  after update on users
  for each row when (
    (new.role, new.disabled_at) is distinct from (old.role, old.disabled_at)
    or (new.password_hash <> old.password_hash and current_setting('collections.password_is_unchanged', true) is distinct from 'on'))
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
