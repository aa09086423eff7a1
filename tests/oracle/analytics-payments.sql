-- What the index for analysts should hold of every payment.
select p.id, jsonb_build_object(
  'id', p.id, 'version', p.version,
  'accountKey', encode(substring(sha256(s.key || uuid_send(p.account_id)) for 16), 'hex'),
  'isAllocated', p.account_id is not null, 'currency', p.currency,
  'amount', p.amount / case p.currency when 'JPY' then 1.0 else 100.0 end, 'amountMinor', p.amount,
  'method', p.method, 'status', p.status, 'failureCode', p.failure_code, 'receivedAt', p.received_at,
  'createdAt', p.created_at, 'deletedAt', p.deleted_at
)
from payments p
cross join analytics_state s
