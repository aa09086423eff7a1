-- What the index should hold of every payment: one for an account is that account's customer's.
select p.id, jsonb_build_object(
  'id', p.id, 'version', p.version, 'accountId', p.account_id,
  'accountNumber', (select account_number from accounts where id = p.account_id),
  'customerId', o.id, 'customerName', (select name from customers where id = o.id),
  'currency', p.currency, 'method', p.method, 'status', p.status, 'receiver', p.receiver, 'description', p.description,
  'reference', p.reference, 'failureCode', p.failure_code, 'failureReason', p.failure_reason, 'receivedAt', p.received_at,
  'createdAt', p.created_at, 'createdBy', p.created_by, 'updatedAt', p.updated_at, 'updatedBy', p.updated_by,
  'deletedAt', p.deleted_at,
  'amount', p.amount / case p.currency when 'JPY' then 1.0 else 100.0 end,
  'statusLabel', case p.status when 'pending' then 'Pending' when 'success' then 'Completed' when 'failed' then 'Failed'
    when 'refunded' then 'Refunded' when 'reversed' then 'Reversed' end
)
from payments p
cross join lateral (
  select case when p.account_id is null then p.customer_id else (select customer_id from accounts where id = p.account_id) end as id
) o
