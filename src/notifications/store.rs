//! Notifications in SQL.

use chrono::NaiveDate;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::kind::Kind;
use super::notification::Row;
use crate::values::ids::{self, UserId};
use crate::values::money::Currency;

/// A notification that a user may get.
#[derive(Debug)]
pub(super) struct News {
    pub(super) user_id: Uuid,
    pub(super) kind: String,
    pub(super) subject: Option<Uuid>,
    pub(super) count: i64,
    pub(super) amount: Option<i64>,
    pub(super) currency: Option<String>,
    pub(super) state: Option<String>,
    pub(super) due_date: Option<NaiveDate>,
    /// What has happened; a user is notified of it once.
    pub(super) event: String,
}

/// Stores the notifications that users want and do not have yet; answers how many notifications are new.
pub(super) async fn insert(connection: &mut PgConnection, news: &[News]) -> sqlx::Result<u64> {
    fn column<T>(news: &[News], value: impl Fn(&News) -> T) -> Vec<T> {
        news.iter().map(value).collect()
    }
    let inserted = sqlx::query!(
        r#"
        insert into notifications (id, user_id, kind, subject, count, amount, currency, state, due_date, event)
        select t.*
        from unnest(
          $1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::date[], $10::text[]
        ) as t(id, user_id, kind, subject, count, amount, currency, state, due_date, event)
        where not exists (
          select from notification_preferences p
          where p.user_id = t.user_id and p.kind = t.kind and p.channel = 'app' and not p.is_enabled
        )
        on conflict on constraint notifications_event_key do nothing
        "#,
        &column(news, |_| ids::new()),
        &column(news, |one| one.user_id),
        &column(news, |one| one.kind.clone()),
        &column(news, |one| one.subject) as &[Option<Uuid>],
        &column(news, |one| one.count),
        &column(news, |one| one.amount) as &[Option<i64>],
        &column(news, |one| one.currency.clone()) as &[Option<String>],
        &column(news, |one| one.state.clone()) as &[Option<String>],
        &column(news, |one| one.due_date) as &[Option<NaiveDate>],
        &column(news, |one| one.event.clone()),
    );
    Ok(inserted.execute(connection).await?.rows_affected())
}

/// Which notifications of a user are listed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filter {
    pub(super) unread: bool,
    pub(super) kind: Option<Kind>,
}

/// Lists notifications of a user, the newest first, behind the one with the id `before`.
pub(super) async fn page(
    executor: impl PgExecutor<'_>,
    user: UserId,
    filter: Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select
          n.id, n.kind as "kind: Kind", n.subject, n.count, n.amount, n.currency as "currency: Currency", n.state, n.due_date,
          n.read_at, n.created_at, c.name as "customer?", a.account_number as "account_number?",
          coalesce(i.target, j.kind, u.username) as about
        from notifications n
        left join payments p on n.kind = 'payment.received' and p.id = n.subject
        left join accounts a
          on a.id = coalesce(p.account_id, case when n.kind in ('payment.overdue', 'account.assigned') then n.subject end)
        left join customers c
          on c.id = coalesce(a.customer_id, p.customer_id, case n.kind when 'customer.created' then n.subject end)
        left join imports i on n.kind = 'import.ended' and i.id = n.subject
        left join jobs j on n.kind in ('export.ended', 'job.ended') and j.id = n.subject
        left join users u on n.kind = 'user.locked' and u.id = n.subject
        where n.user_id = $1
        and (not $2 or n.read_at is null)
        and ($3::text is null or n.kind = $3)
        and ($4::uuid is null or n.id < $4)
        order by n.id desc
        limit $5
        "#,
        user.0,
        filter.unread,
        filter.kind.map(Kind::as_str),
        before,
        limit,
    );
    rows.fetch_all(executor).await
}

/// Counts unread notifications of a user by kind.
pub(super) async fn unread(executor: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<Vec<(Kind, i64)>> {
    let counts = sqlx::query!(
        r#"
        select kind as "kind: Kind", count(*) as "count!"
        from notifications
        where user_id = $1
        and read_at is null
        group by kind
        order by kind
        "#,
        user.0,
    );
    Ok(counts.fetch_all(executor).await?.into_iter().map(|row| (row.kind, row.count)).collect())
}

/// Marks unread notifications of a user as read: those with these ids, or of this kind, or all.
pub(super) async fn mark_read(
    connection: &mut PgConnection,
    user: UserId,
    ids: Option<&[Uuid]>,
    kind: Option<Kind>,
) -> sqlx::Result<u64> {
    let marked = sqlx::query!(
        r#"
        update notifications
        set read_at = now()
        where user_id = $1
        and read_at is null
        and ($2::uuid[] is null or id = any($2))
        and ($3::text is null or kind = $3)
        "#,
        user.0,
        ids as Option<&[Uuid]>,
        kind.map(Kind::as_str),
    );
    Ok(marked.execute(connection).await?.rows_affected())
}
