-- What the index for analysts should hold of every account; its balance is taken from the ledger and not from the row.
select a.id, jsonb_build_object(
  'id', a.id, 'version', a.version,
  'accountKey', encode(substring(sha256(s.key || uuid_send(a.id)) for 16), 'hex'),
  'customerKey', encode(substring(sha256(s.key || uuid_send(a.customer_id)) for 16), 'hex'),
  'agentKey', encode(substring(sha256(s.key || uuid_send(a.assignee_id)) for 16), 'hex'),
  'agent', (select username from users where id = a.assignee_id and s.setting = 'agents'),
  'currency', a.currency, 'balance', owed.minor / unit.minor, 'balanceMinor', owed.minor,
  'originalAmount', a.original_amount / unit.minor, 'originalAmountMinor', a.original_amount,
  'dueDate', a.due_date, 'dueMonth', to_char(a.due_date, 'YYYY-MM-01'), 'status', a.status, 'creditor', a.creditor,
  'portfolio', a.portfolio, 'product', a.product, 'lastPaymentAt', a.last_payment_at, 'lastContactAt', a.last_contact_at,
  'nextActionAt', a.next_action_at, 'createdAt', a.created_at, 'deletedAt', a.deleted_at
)
from accounts a
cross join analytics_state s
cross join lateral (select case a.currency when 'JPY' then 1.0 else 100.0 end as minor) unit
cross join lateral (select coalesce(sum(amount), 0) as minor from ledger_entries where account_id = a.id) owed
