-- What the index should hold of every account; its balance is taken from the ledger and not from the row.
select a.id, jsonb_build_object(
  'id', a.id, 'version', a.version, 'accountNumber', a.account_number, 'customerId', a.customer_id,
  'customerName', (select name from customers where id = a.customer_id),
  'customerExternalId', (select external_id from customers where id = a.customer_id),
  'currency', a.currency, 'dueDate', a.due_date, 'status', a.status, 'assigneeId', a.assignee_id,
  'assigneeName', (select coalesce(name, username) from users where id = a.assignee_id),
  'creditor', a.creditor, 'portfolio', a.portfolio, 'product', a.product, 'lastPaymentAt', a.last_payment_at,
  'lastContactAt', a.last_contact_at, 'nextActionAt', a.next_action_at, 'tags', a.tags, 'custom', a.custom,
  'createdAt', a.created_at, 'createdBy', a.created_by, 'updatedAt', a.updated_at, 'updatedBy', a.updated_by,
  'deletedAt', a.deleted_at,
  'originalAmount', a.original_amount / unit.minor,
  'balance', (select coalesce(sum(amount), 0) from ledger_entries where account_id = a.id) / unit.minor
)
from accounts a
-- The work knows no currency of another exponent.
cross join lateral (select case a.currency when 'JPY' then 1.0 else 100.0 end as minor) unit
