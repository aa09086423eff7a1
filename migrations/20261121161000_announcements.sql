-- What is announced of a changed row beside its key: its version, and whether it is marked as deleted. The lists of columns are
-- written anew as a whole, because a publication knows no other way.
alter publication collections set table
  customers (id, shown, version, deleted_at),
  contact_points (id, customer_id),
  addresses (id, customer_id),
  accounts (id, customer_id, account_number, version, deleted_at),
  payments (id, version, deleted_at),
  users (id, shown);
