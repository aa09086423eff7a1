-- What the index for analysts should hold of every movement of a day.
select n.id, jsonb_build_object(
  'id', n.id, 'version', n.version, 'day', n.day, 'currency', n.currency, 'portfolio', n.portfolio,
  'bucketBefore', n.bucket_before, 'bucketAfter', n.bucket_after, 'movement', n.movement, 'accounts', n.accounts,
  'balanceBefore', n.balance_before / unit.minor, 'balanceBeforeMinor', n.balance_before,
  'balanceAfter', n.balance_after / unit.minor, 'balanceAfterMinor', n.balance_after,
  'isFromLedger', (select is_from_ledger from snapshot_days where day = n.day)
)
from snapshot_transitions n
cross join lateral (select case n.currency when 'JPY' then 1.0 else 100.0 end as minor) unit
