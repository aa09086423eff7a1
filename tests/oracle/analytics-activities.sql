-- What the index for analysts should hold of every activity.
select t.id, jsonb_build_object(
  'id', t.id, 'version', t.version,
  'accountKey', encode(substring(sha256(s.key || uuid_send(t.account_id)) for 16), 'hex'),
  'agentKey', encode(substring(sha256(s.key || uuid_send(t.user_id)) for 16), 'hex'),
  'agent', (select username from users where id = t.user_id and s.setting = 'agents'),
  'type', t.kind, 'disposition', t.disposition, 'channel', t.channel, 'occurredAt', t.occurred_at,
  'createdAt', t.created_at, 'deletedAt', t.deleted_at
)
from activities t
cross join analytics_state s
