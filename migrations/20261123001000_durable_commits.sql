-- With `synchronous_commit = off` others can read a commit before it is on the disk. The index would show it for good, also if a
-- crash of the server forgets it. So who writes what the index shows waits for the disk, whatever the session's setting.
create function commit_durably() returns trigger
  language plpgsql
  as $$
begin
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'local', true);
  end if;
  return null;
end
$$;

create trigger customers_commit_durably before insert or update or delete or truncate on customers
  for each statement execute function commit_durably();
create trigger contact_points_commit_durably before insert or update or delete or truncate on contact_points
  for each statement execute function commit_durably();
create trigger addresses_commit_durably before insert or update or delete or truncate on addresses
  for each statement execute function commit_durably();
create trigger accounts_commit_durably before insert or update or delete or truncate on accounts
  for each statement execute function commit_durably();
create trigger payments_commit_durably before insert or update or delete or truncate on payments
  for each statement execute function commit_durably();
create trigger users_commit_durably before insert or update or delete or truncate on users
  for each statement execute function commit_durably();

-- When a comparison ended says nothing of what changed while it ran; when it began does.
alter table sync_sweeps drop column last_finished_at;
