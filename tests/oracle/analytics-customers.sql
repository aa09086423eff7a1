-- What the index for analysts should hold of every customer; balances are taken from the ledger and not from the rows.
select c.id, jsonb_build_object(
  'id', c.id, 'version', c.summary_changes,
  'customerKey', encode(substring(sha256(s.key || uuid_send(c.id)) for 16), 'hex'),
  'kind', c.kind, 'status', c.status, 'language', c.language,
  'ageBand', to_char(c.date_of_birth, 'YYYY')::integer / 10 * 10 || 's',
  'country', home.country, 'region', home.region,
  'hasPhone', 'phone' in (select kind from contact_points where customer_id = c.id),
  'hasEmail', 'email' in (select kind from contact_points where customer_id = c.id),
  'accountCount', owed.accounts, 'openAccountCount', owed.open,
  'currency', same.currency, 'balanceMinor', same.balance,
  'balance', same.balance / case same.currency when 'JPY' then 1.0 else 100.0 end,
  'oldestDueDate', owed.oldest_due_date,
  'createdAt', c.created_at, 'deletedAt', c.deleted_at
)
from customers c
cross join analytics_state s
left join lateral (
  select country, region from addresses where customer_id = c.id order by is_primary desc, id limit 1
) home on true
cross join lateral (
  select count(*) as accounts, count(*) filter (where status = 'open') as open, count(distinct currency) as currencies,
    min(currency) as currency, min(due_date) filter (where status = 'open') as oldest_due_date,
    sum((select coalesce(sum(amount), 0) from ledger_entries where account_id = a.id)) as balance
  from accounts a where customer_id = c.id and deleted_at is null
) owed
cross join lateral (
  select case when currencies = 1 then owed.currency end as currency, case when currencies = 1 then owed.balance end as balance
) same
