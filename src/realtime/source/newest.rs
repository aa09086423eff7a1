//! Events of which only the newest counts: figures of payments, progress of jobs, metrics. They are sent at intervals, not by change.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::app::App;
use crate::error::{Error, Result};
use crate::feed::Announcement;
use crate::jobs::store;
use crate::metrics::{self, Gauges};
use crate::realtime::event::Event;
use crate::realtime::events::{JOB_PROGRESS, METRICS, STATS};
use crate::realtime::hub::Hub;
use crate::realtime::topic::{Topic, TopicKind};
use crate::values::ids::{JobId, UserId};
use crate::values::money::Money;

/// Days of which failed payments are counted.
const FAILED_DAYS: i64 = 7;

/// What has changed since it was last sent.
#[derive(Default)]
pub(super) struct Newest {
    has_payments: bool,
    jobs: BTreeSet<Uuid>,
}

impl Newest {
    pub(super) fn note(&mut self, announcements: &[Announcement]) {
        for one in announcements {
            match &*one.collection {
                "payments" => self.has_payments = true,
                "jobs" => drop(self.jobs.insert(one.id)),
                _ => {}
            }
        }
    }

    /// Sends what has changed. What cannot be read now is sent the next time.
    pub(super) async fn tell(&mut self, hub: &Hub) {
        if let Err(error) = self.try_tell(hub).await {
            tracing::warn!(%error, "cannot read what has changed; sockets wait");
        }
    }

    async fn try_tell(&mut self, hub: &Hub) -> Result<()> {
        let interest = hub.interest();
        if self.has_payments && interest.contains(&TopicKind::Stats) {
            let data = serde_json::to_vec(&Stats::read(&hub.app).await?).map_err(Error::internal)?;
            hub.hand_over(&[Arc::new(Event::new(&STATS, None, vec![Topic::Stats], data))]);
        }
        self.has_payments = false;
        // Every listener hears of its own jobs.
        while let Some(id) = self.jobs.first().copied().filter(|_| !interest.is_empty()) {
            if let Some(progress) = progress(&hub.app, JobId(id)).await? {
                hub.hand_over(&[Arc::new(progress)]);
            }
            self.jobs.remove(&id);
        }
        self.jobs.clear();
        Ok(())
    }
}

/// Sends the metrics to those who listen.
pub(super) fn tell_metrics(hub: &Hub) {
    if !hub.interest().contains(&TopicKind::Metrics) {
        return;
    }
    match serde_json::to_vec(&metrics::report(&Gauges::default())) {
        Ok(report) => hub.hand_over(&[Arc::new(Event::new(&METRICS, None, vec![Topic::Metrics], report))]),
        Err(error) => tracing::warn!(%error, "cannot write the metrics"),
    }
}

async fn progress(app: &App, id: JobId) -> Result<Option<Event>> {
    let Some(job) = store::find(&app.db.read, id).await? else { return Ok(None) };
    let owner = job.created_by.map(|owner| Topic::User(UserId(owner)));
    let topics = [Topic::Job(id)].into_iter().chain(owner).collect();
    let data = json!({
        "jobId": job.id, "kind": job.kind, "status": job.status, "total": job.total, "processed": job.processed,
        "succeeded": job.succeeded, "failed": job.failed,
    });
    Ok(Some(Event::new(&JOB_PROGRESS, None, topics, data.to_string())))
}

/// Figures of payments in the default currency, as `GET /payments/stats` counts them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    total_transactions_today: i64,
    total_revenue: Money,
    failed_transactions: i64,
}

impl Stats {
    async fn read(app: &App) -> Result<Self> {
        let (now, zone, currency) = (app.clock.now(), app.config.default_time_zone, app.config.default_currency);
        let today = zone.day_of(now);
        let midnight = |days: i64| zone.midnight(today + TimeDelta::days(days));
        let found = sqlx::query!(
            r#"
            select
              count(*) filter (where received_at >= $2) as "today!",
              coalesce((select sum(amount) from payments where status = 'success' and currency = $4 and deleted_at is null), 0)::bigint
                as "revenue!",
              count(*) filter (where status = 'failed') as "failed!"
            from payments
            where received_at >= $1
            and received_at < $3
            and currency = $4
            and deleted_at is null
            "#,
            midnight(1 - FAILED_DAYS),
            midnight(0),
            midnight(1),
            currency.as_str(),
        );
        let found = found.fetch_one(&app.db.read).await?;
        Ok(Self {
            total_transactions_today: found.today,
            total_revenue: Money { minor: found.revenue, currency },
            failed_transactions: found.failed,
        })
    }
}
