-- What the index for analysts should hold of every minute of a process.
select o.id, jsonb_build_object(
  'id', o.id, 'version', o.version, 'sampledAt', o.sampled_at, 'process', o.process, 'role', o.role, 'lagMs', o.lag_ms,
  'backlog', o.backlog, 'deadLetters', o.dead_letters, 'lists', o.lists, 'fallbacks', o.fallbacks, 'requests', o.requests,
  'requestMs', o.request_ms
)
from operation_samples o
