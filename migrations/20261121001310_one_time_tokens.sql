-- Secrets that are mailed and are good for one use: to choose a new password, or to accept an invitation. A row is first a mail to be
-- sent: the secret is made when it is, so that only its hash is ever stored.

create table one_time_tokens (
  id uuid primary key,
  purpose text not null
    constraint one_time_tokens_purpose_known check (purpose in ('reset', 'invitation')),
  -- Who asked for a reset, as the user name or e-mail address was typed. It may be no user's: what is written does not depend on
  -- that, so that the time it takes does not tell.
  login text
    constraint one_time_tokens_login_length check (char_length(login) <= 254),
  -- Whose password it is; for one who typed a name, once the mail is sent.
  user_id uuid
    constraint one_time_tokens_user_id_fkey references users on delete restrict,
  -- Where an invitation goes to, and the role that it offers.
  email text
    constraint one_time_tokens_email_length check (char_length(email) between 3 and 254),
  role text
    constraint one_time_tokens_role_known check (role in ('admin', 'manager', 'agent', 'viewer')),
  -- SHA-256 of the secret.
  hash bytea
    constraint one_time_tokens_hash_length check (octet_length(hash) = 32),
  -- When the mail is tried next; none once it is sent.
  send_at timestamptz,
  attempts integer not null default 0,
  created_at timestamptz(3) not null default now(),
  created_by uuid
    constraint one_time_tokens_created_by_fkey references users on delete restrict,
  expires_at timestamptz not null,
  used_at timestamptz,
  constraint one_time_tokens_invitation check ((purpose = 'invitation') = (email is not null and role is not null))
);

create unique index one_time_tokens_hash_key on one_time_tokens (hash);
create index one_time_tokens_user_id on one_time_tokens (user_id) where user_id is not null;
create index one_time_tokens_send_at on one_time_tokens (send_at) where send_at is not null;
create index one_time_tokens_expires_at on one_time_tokens (expires_at);

-- What was mailed to the former address, or for the former password, is good for nothing.
create function remove_mailed_tokens() returns trigger
  language plpgsql
as $$
begin
  delete from one_time_tokens
  where user_id = new.id
  and hash is not null
  and used_at is null;
  return null;
end
$$;

create trigger users_remove_mailed_tokens
  after update on users
  for each row when ((new.email, new.password_hash, new.disabled_at) is distinct from (old.email, old.password_hash, old.disabled_at))
  execute function remove_mailed_tokens();

grant select, insert, update, delete on one_time_tokens to collections_server;
