-- Accounts that come without a number are given one, so that people have something to quote.
create sequence account_numbers;

-- Skips numbers that clients chose themselves.
create function next_account_number() returns text
  language plpgsql
as $$
declare
  counted text;
  candidate text;
begin
  loop
    counted := nextval('account_numbers')::text;
    candidate := 'A' || lpad(counted, greatest(8, length(counted)), '0');
    exit when not exists (select from accounts where account_number = candidate);
  end loop;
  return candidate;
end
$$;

alter table accounts
  alter column account_number set default next_account_number();

grant usage on sequence account_numbers to collections_server;
