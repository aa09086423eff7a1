select
  entry.rank as "rank!", entry.id as "id!", entry.at as "at!", entry.by, coalesce(u.name, u.username) as "by_name?", entry.kind,
  entry.action, entry.details
from (
  select 0 as rank, t.id, t.occurred_at as at, coalesce(t.user_id, t.created_by) as by, null as kind, null as action, null as details
  from unnest($1::uuid[]) as account (id)
  cross join lateral (
    select id, occurred_at, user_id, created_by
    from activities
    where account_id = account.id
    and 0 = any($3::integer[])
    and deleted_at is null
    and occurred_at >= $4
    and occurred_at <= $5
    and (occurred_at < $5 or $6 < 0 or ($6 = 0 and id > $7))
    order by occurred_at desc nulls last, id
    limit $8
  ) t
  union all
  select 1, p.id, p.created_at, p.created_by, null, null, null
  from unnest($1::uuid[]) as account (id)
  cross join lateral (
    select id, created_at, created_by
    from payments
    where account_id = account.id
    and 1 = any($3::integer[])
    and deleted_at is null
    and created_at >= $4
    and created_at <= $5
    and (created_at < $5 or $6 < 1 or ($6 = 1 and id > $7))
    order by created_at desc nulls last, id
    limit $8
  ) p
  union all
  select 2, e.id, e.occurred_at, e.created_by, null, null, null
  from unnest($1::uuid[]) as account (id)
  cross join lateral (
    select id, occurred_at, created_by
    from ledger_entries
    where account_id = account.id
    and 2 = any($3::integer[])
    and occurred_at >= $4
    and occurred_at <= $5
    and (occurred_at < $5 or $6 < 2 or ($6 = 2 and id > $7))
    order by occurred_at desc, id
    limit $8
  ) e
  union all
  select 3, lpad(to_hex(l.id), 32, '0')::uuid, l.at, l.actor, l.kind, l.action, l.details::text
  from unnest($2::uuid[]) as record (id)
  cross join lateral (
    select id, at, actor, kind, action, details
    from audit_log
    where subject = record.id
    and 3 = any($3::integer[])
    and kind in ('accounts', 'customers')
    and action in ('create', 'change', 'delete')
    and at >= $4
    and at <= $5
    and (at < $5 or $6 < 3 or ($6 = 3 and lpad(to_hex(id), 32, '0')::uuid > $7))
    order by at desc, id
    limit $8
  ) l
) as entry
left join users u on u.id = entry.by
order by entry.at desc, entry.rank, entry.id
limit $8
