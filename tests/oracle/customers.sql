-- What the index should hold of every customer, written apart from the product's way of building it.
select c.id, jsonb_build_object(
  'id', c.id, 'version', c.version, 'externalId', c.external_id, 'kind', c.kind, 'name', c.name, 'givenName', c.given_name,
  'familyName', c.family_name, 'companyName', c.company_name, 'dateOfBirth', c.date_of_birth, 'taxId', c.tax_id,
  'language', c.language, 'timeZone', c.time_zone, 'status', c.status, 'tags', c.tags, 'metadata', c.metadata, 'custom', c.custom,
  'createdAt', c.created_at, 'createdBy', c.created_by, 'updatedAt', c.updated_at, 'updatedBy', c.updated_by,
  'deletedAt', c.deleted_at,
  'phone', (
    select p.value from contact_points p where p.customer_id = c.id and p.kind = 'phone' order by p.is_primary desc, p.id limit 1),
  'email', (
    select p.value from contact_points p where p.customer_id = c.id and p.kind = 'email' order by p.is_primary desc, p.id limit 1),
  'contactPoints', (
    select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'kind', p.kind, 'value', p.value, 'normalized', p.normalized,
      'label', p.label, 'isPrimary', p.is_primary, 'state', p.state) order by p.is_primary desc, p.id), '[]')
    from contact_points p where p.customer_id = c.id),
  'addresses', (
    select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'label', a.label, 'line1', a.line1, 'line2', a.line2, 'city', a.city,
      'region', a.region, 'postalCode', a.postal_code, 'country', a.country, 'isPrimary', a.is_primary)
      order by a.is_primary desc, a.id), '[]')
    from addresses a where a.customer_id = c.id),
  'accountCount', (select count(*) from accounts a where a.customer_id = c.id and a.deleted_at is null),
  'openAccountCount', (select count(*) from accounts a where a.customer_id = c.id and a.deleted_at is null and a.status = 'open'),
  'oldestDueDate', (
    select min(a.due_date) from accounts a where a.customer_id = c.id and a.deleted_at is null and a.status = 'open'),
  'lastPaymentAt', (select max(a.last_payment_at) from accounts a where a.customer_id = c.id and a.deleted_at is null),
  'currency', (
    select case when count(distinct a.currency) = 1 then min(a.currency) end
    from accounts a where a.customer_id = c.id and a.deleted_at is null),
  'balance', (
    select case when count(distinct a.currency) = 1 then sum(a.balance) / min(case a.currency when 'JPY' then 1.0 else 100.0 end) end
    from accounts a where a.customer_id = c.id and a.deleted_at is null),
  'balances', (
    select coalesce(jsonb_agg(jsonb_build_object('currency', s.currency, 'amount', s.amount) order by s.currency), '[]')
    from (
      select a.currency, sum(a.balance) / min(case a.currency when 'JPY' then 1.0 else 100.0 end) as amount
      from accounts a where a.customer_id = c.id and a.deleted_at is null group by a.currency
    ) s)
)
from customers c
