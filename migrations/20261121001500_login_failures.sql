-- Failed log-ins of an account, of an account at one address where its user signs in, and of an address. Rows whose time has come
-- are as good as none, and the worker removes them.

create table login_failures (
  -- A keyed hash: clients type passwords where user names belong.
  key bytea primary key,
  -- Whose log-ins failed, if there is such a user. Without a foreign key, because checking one would take longer than for none.
  user_id uuid,
  failures integer not null,
  expires_at timestamptz not null
);

create index login_failures_user_id on login_failures (user_id) where user_id is not null;
create index login_failures_expires_at on login_failures (expires_at);

grant select, insert, update, delete on login_failures to collections_server;
