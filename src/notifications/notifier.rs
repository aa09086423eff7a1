//! The notifier: reads what has changed, and stores who is to be notified, in one transaction with its place.
//!
//! Its place is a transaction of the audit log. All transactions before the oldest that still runs have ended, so that none can come
//! late, and the notifier goes that far. Announcements wake it; without them it looks every few seconds.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use super::store::{self, News};
use crate::app::App;
use crate::error::Result;
use crate::failpoint::abort_at;

/// How often it looks when nothing wakes it.
const PERIOD: Duration = Duration::from_secs(2);

/// How long it waits for what is announced at about the same time, and for transactions that still run.
const LINGER: Duration = Duration::from_millis(200);

/// Entries of the log that one transaction follows, more only if one transaction made them: a few thousand notifications.
const ENTRIES: i64 = 2_000;

/// Notifies users of what has changed until the application is stopped.
pub async fn run(app: App) -> Result<()> {
    let mut subscription = app.feed.subscribe();
    loop {
        let is_behind = catch_up(&app).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot notify users of what has changed; trying again");
            false
        });
        tokio::select! {
            () = app.stop.cancelled() => return Ok(()),
            () = sleep(if is_behind { LINGER } else { PERIOD }) => {}
            news = subscription.next() => {
                // What was missed is in the log.
                if news.is_err() {
                    subscription = app.feed.subscribe();
                }
                sleep(LINGER).await;
            }
        }
    }
}

/// Notifies users of all that has changed; answers whether more waits for transactions that still run.
pub async fn catch_up(app: &App) -> Result<bool> {
    loop {
        let mut connection = app.db.jobs.acquire().await?;
        let waiting = sqlx::query!(
            r#"
            select
              exists (select from audit_log where xid > n.done and xid < pg_snapshot_xmin(pg_current_snapshot())) as "is_ready!",
              exists (select from audit_log where xid >= pg_snapshot_xmin(pg_current_snapshot())) as "is_behind!",
              exists (select from jobs where finished_at between n.jobs_done and now() and created_by is not null)
                or n.jobs_done < now() - interval '5 minutes' as "has_jobs!",
              n.done >= pg_snapshot_xmax(pg_current_snapshot()) as "is_ahead!"
            from notifier n
            "#,
        );
        let waiting = waiting.fetch_one(&mut *connection).await?;
        if !(waiting.is_ready || waiting.has_jobs || waiting.is_ahead) {
            return Ok(waiting.is_behind);
        }
        let mut transaction = connection.begin().await?;
        if !tell(&mut transaction).await? {
            return Ok(false);
        }
        abort_at("notifier-written");
        transaction.commit().await?;
        abort_at("notifier-committed");
        if !waiting.is_ready {
            return Ok(waiting.is_behind);
        }
    }
}

/// Takes one step; false if another process is at it.
async fn tell(connection: &mut PgConnection) -> Result<bool> {
    let place = sqlx::query!(
        r#"
        select done::text as "done!", done >= pg_snapshot_xmax(pg_current_snapshot()) as "is_ahead!"
        from notifier
        for update skip locked
        "#,
    );
    let Some(place) = place.fetch_optional(&mut *connection).await? else { return Ok(false) };
    if place.is_ahead {
        tracing::error!(
            "the numbers of transactions have gone back, as after a restore of a dump; users are notified of what comes now"
        );
        sqlx::query!("update notifier set done = pg_snapshot_xmin(pg_current_snapshot())").execute(connection).await?;
        return Ok(true);
    }
    let upto = sqlx::query_scalar!(
        r#"
        select xid::text as "xid!"
        from (
          select xid
          from audit_log
          where xid > cast($1::text as xid8)
          and xid < pg_snapshot_xmin(pg_current_snapshot())
          order by xid, id
          limit $2
        ) next
        order by xid desc
        limit 1
        "#,
        place.done,
        ENTRIES,
    );
    if let Some(upto) = upto.fetch_optional(&mut *connection).await? {
        let news = changed(&mut *connection, &place.done, &upto).await?;
        store::insert(&mut *connection, &news).await?;
        sqlx::query!("update notifier set done = cast($1::text as xid8)", upto).execute(&mut *connection).await?;
    }
    let news = ended(&mut *connection).await?;
    store::insert(&mut *connection, &news).await?;
    sqlx::query!("update notifier set jobs_done = now() - interval '10 seconds'").execute(&mut *connection).await?;
    Ok(true)
}

/// What transactions behind one, up to another, have done that users are notified of.
async fn changed(connection: &mut PgConnection, done: &str, upto: &str) -> sqlx::Result<Vec<News>> {
    let news = sqlx::query_as!(
        News,
        r#"
        with entry as (
          select l.xid, l.actor, l.action, l.kind, l.subject, l.details
          from audit_log l
          where l.xid > cast($1::text as xid8)
          and l.xid <= cast($2::text as xid8)
          and l.action in ('create', 'change')
          and l.kind in ('payments', 'customers', 'accounts', 'users', 'imports')
          -- A job is told of when it ends, and not of each of its records.
          and (l.kind = 'imports' or l.request is null or not exists (select from jobs j where j.id::text = l.request))
        ),
        manager as (
          select u.id
          from users u
          join permissions p on p.role = u.role and p.permission = 'manage'
          where u.disabled_at is null
        ),
        told as (
          select
            r.id as user_id, 'payment.received' as kind, e.xid, e.actor, e.subject, p.amount, p.currency, null::text as state
          from entry e
          join payments p on p.id = e.subject
          left join accounts a on a.id = p.account_id
          cross join recipients(a.assignee_id) as r (id)
          where e.kind = 'payments'
          and 'success' = case e.action when 'create' then e.details ->> 'status' else e.details -> 'status' ->> 1 end
          union all
          select m.id, 'customer.created', e.xid, e.actor, e.subject, null, null, null
          from entry e
          cross join manager m
          where e.kind = 'customers'
          and e.action = 'create'
          union all
          select
            (case e.action when 'create' then e.details ->> 'assignee_id' else e.details -> 'assignee_id' ->> 1 end)::uuid,
            'account.assigned', e.xid, e.actor, e.subject, null, null, null
          from entry e
          where e.kind = 'accounts'
          and case e.action when 'create' then e.details ->> 'assignee_id' else e.details -> 'assignee_id' ->> 1 end is not null
          union all
          select m.id, 'user.locked', e.xid, e.subject, e.subject, null, null, null
          from entry e
          cross join manager m
          where e.kind = 'users'
          and e.action = 'change'
          and e.details -> 'locked_until' ->> 1 is not null
          union all
          select i.created_by, 'import.ended', e.xid, null, e.subject, null, null, e.details -> 'state' ->> 1
          from entry e
          join imports i on i.id = e.subject
          where e.kind = 'imports'
          and e.action = 'change'
          and i.created_by is not null
          and e.details -> 'state' ->> 1 in ('committed', 'partial', 'failed', 'cancelled', 'undone')
        ),
        gathered as (
          select
            t.xid, t.user_id, t.kind, count(*) as count, sum(t.amount)::bigint as amount, t.currency, t.state,
            case count(*) when 1 then (array_agg(t.subject))[1] end as subject,
            concat_ws('/', t.kind, t.xid::text, t.currency, t.state) as event
          from told t
          join users u on u.id = t.user_id and u.disabled_at is null
          -- What one does oneself is no news.
          where t.actor is distinct from t.user_id
          group by t.user_id, t.kind, t.xid, t.currency, t.state
        )
        select
          user_id as "user_id!", kind as "kind!", subject, count as "count!", amount, currency, state, null::date as due_date,
          event as "event!"
        from gathered
        order by xid
        "#,
        done,
        upto,
    );
    news.fetch_all(connection).await
}

/// Jobs that have ended, and of which their users were not notified. A job may become visible minutes after it says that it ended.
async fn ended(connection: &mut PgConnection) -> sqlx::Result<Vec<News>> {
    let news = sqlx::query_as!(
        News,
        r#"
        select
          j.created_by as "user_id!", case j.kind when 'export' then 'export.ended' else 'job.ended' end as "kind!", j.id as "subject?",
          1::bigint as "count!", null::bigint as amount, null as currency, j.state as "state?",
          null::date as due_date,
          concat_ws('/', 'job', j.id::text, extract(epoch from j.finished_at)::text) as "event!"
        from jobs j
        join users u on u.id = j.created_by and u.disabled_at is null
        where j.finished_at >= (select jobs_done - interval '10 minutes' from notifier)
        and j.kind not like 'import\_%'
        and not exists (
          select from notifications n
          where n.user_id = j.created_by
          and n.event = concat_ws('/', 'job', j.id::text, extract(epoch from j.finished_at)::text)
        )
        "#,
    );
    news.fetch_all(connection).await
}
