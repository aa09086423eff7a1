-- Dates that neither the program nor the index can count, `infinity` for one, would keep their rows out of both.
alter table customers
  add constraint customers_date_of_birth_in_reach check (date_of_birth between '0001-01-01' and '9999-12-31');

alter table accounts
  add constraint accounts_due_date_in_reach check (due_date between '0001-01-01' and '9999-12-31'),
  add constraint accounts_last_payment_at_in_reach check (last_payment_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
  add constraint accounts_last_contact_at_in_reach check (last_contact_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
  add constraint accounts_next_action_at_in_reach check (next_action_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z');

alter table payments
  add constraint payments_received_at_in_reach check (received_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z');
