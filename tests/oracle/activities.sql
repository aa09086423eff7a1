-- What the index should hold of every activity: the customer is that of the account.
select t.id, jsonb_build_object(
  'id', t.id, 'version', t.version, 'accountId', t.account_id, 'accountNumber', a.account_number,
  'customerId', a.customer_id, 'customerName', (select name from customers where id = a.customer_id),
  'userId', t.user_id, 'userName', (select coalesce(name, username) from users where id = t.user_id),
  'type', t.kind, 'disposition', t.disposition, 'channel', t.channel, 'note', t.note, 'metadata', t.metadata,
  'isPinned', t.is_pinned, 'occurredAt', t.occurred_at, 'createdAt', t.created_at, 'createdBy', t.created_by, 'updatedAt', t.updated_at, 'updatedBy', t.updated_by,
  'deletedAt', t.deleted_at
)
from activities t
join accounts a on a.id = t.account_id
