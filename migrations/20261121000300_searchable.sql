-- What makes a table searchable: the publication that the sync streams, and the triggers behind it.

-- Keys, counters and versions only; the sync reads the rows again. Tables are listed, so a new one has to be added on purpose.
create publication collections;

-- Counts the changes of the columns that other documents show. The counter is part of the table's replica identity, and the
-- stream carries an old key only when a column of it changed: so the sync tells a rename, which a thousand documents follow, from
-- every other change, and no name travels in the stream.
create function count_shown() returns trigger
  language plpgsql
as $$
begin
  new.shown := old.shown + 1;
  return new;
end
$$;

-- Counts the changes of the columns that the owner's document sums up.
create function count_summed() returns trigger
  language plpgsql
as $$
begin
  new.summed := old.summed + 1;
  return new;
end
$$;

-- With `synchronous_commit = off` other sessions can read a commit before it is on disk; the index would keep it although a crash
-- of the server loses it. So a transaction that writes what the index shows waits for the disk, whatever the session's setting.
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
