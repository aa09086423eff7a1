//! Schedules: jobs of every day, at an hour of a time zone.
//!
//! A run that was missed, because no worker was there, is caught up once, however many days were missed.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use super::job::Lane;
use super::kind::Kind;
use super::queue::{self, Enqueued, Terms};
use crate::app::App;
use crate::error::{Error, Result};
use crate::values::zone::Zone;

/// How often schedules are looked at: the clock of the machine may be set.
const PERIOD: Duration = Duration::from_secs(60);

/// One unfinished job of a schedule is enough.
const KEY: &str = "schedule";

/// A kind of job that is enqueued once a day.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// That of the kind.
    pub name: &'static str,
    lane: Lane,
    arguments: Value,
    time: NaiveTime,
    zone: Zone,
}

impl Schedule {
    /// Every day when clocks in the zone show this time. An hour that a change of clocks leaves out is counted from before it, and
    /// of one that comes twice the first counts.
    pub fn daily<K: Kind + Default>(time: NaiveTime, zone: Zone) -> Result<Self> {
        let arguments = serde_json::to_value(K::default()).map_err(Error::internal)?;
        Ok(Self { name: K::NAME, lane: K::LANE, arguments, time, zone })
    }

    /// The last moment up to now at which it was due.
    fn latest(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let today = self.zone.day_of(now);
        let due = self.on(today);
        if due <= now { due } else { self.on(today - Days::new(1)) }
    }

    /// The next moment at which it is due.
    fn next(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let today = self.zone.day_of(now);
        let due = self.on(today);
        if due > now { due } else { self.on(today + Days::new(1)) }
    }

    fn on(&self, day: NaiveDate) -> DateTime<Utc> {
        self.zone.moment(day.and_time(self.time))
    }

    /// Enqueues its job now, unless one is unfinished.
    pub async fn enqueue(&self, connection: &mut PgConnection) -> Result<Enqueued> {
        queue::insert(connection, self.name, self.lane, &self.arguments, Terms::default().once(KEY)).await
    }
}

/// Enqueues what is due, for ever.
pub(super) async fn run(app: &App, schedules: &[Schedule]) {
    loop {
        if let Err(error) = tick(app, schedules).await {
            tracing::warn!(%error, "cannot enqueue scheduled jobs; trying again in a minute");
        }
        let now = app.clock.now();
        let next = schedules.iter().map(|schedule| schedule.next(now)).min();
        let until_due = next.and_then(|next| (next - now).to_std().ok());
        sleep(until_due.map_or(PERIOD, |until_due| until_due.min(PERIOD))).await;
    }
}

/// Enqueues the jobs of schedules that have become due since the last time, once whichever worker asks; answers how many.
pub async fn tick(app: &App, schedules: &[Schedule]) -> Result<usize> {
    let mut enqueued = 0;
    for schedule in schedules {
        let due = schedule.latest(app.clock.now());
        let mut connection = app.db.jobs.acquire().await?;
        let mut transaction = connection.begin().await?;
        if advance(&mut transaction, schedule.name, due).await? {
            schedule.enqueue(&mut transaction).await?;
            enqueued += 1;
        }
        transaction.commit().await?;
    }
    Ok(enqueued)
}

/// Notes that a schedule was due; false if that is known already, or the schedule is new and has missed nothing.
async fn advance(connection: &mut PgConnection, name: &str, due: DateTime<Utc>) -> sqlx::Result<bool> {
    let new = sqlx::query!("insert into job_schedules (name, due) values ($1, $2) on conflict (name) do nothing", name, due);
    if new.execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(false);
    }
    let advanced = sqlx::query!("update job_schedules set due = $2 where name = $1 and due < $2", name, due);
    Ok(advanced.execute(connection).await?.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(time: &str, zone: &str) -> Schedule {
        let (time, zone) = (time.parse().unwrap(), zone.parse().unwrap());
        Schedule { name: "it", lane: Lane::Upkeep, arguments: Value::Null, time, zone }
    }

    #[track_caller]
    fn check(time: &str, zone: &str, now: &str, latest: &str, next: &str) {
        let schedule = schedule(time, zone);
        let now: DateTime<Utc> = now.parse().unwrap();
        let shown = |moment: DateTime<Utc>| moment.format("%FT%H:%MZ").to_string();
        assert_eq!((shown(schedule.latest(now)), shown(schedule.next(now))), (latest.into(), next.into()), "{time} {zone} {now}");
    }

    #[test]
    fn a_schedule_is_due_once_a_day_by_the_clocks_of_its_zone() {
        check("03:00:00", "UTC", "2026-06-10T02:59:59Z", "2026-06-09T03:00Z", "2026-06-10T03:00Z");
        check("03:00:00", "UTC", "2026-06-10T03:00:00Z", "2026-06-10T03:00Z", "2026-06-11T03:00Z");
        check("23:30:00", "America/New_York", "2026-06-10T12:00:00Z", "2026-06-10T03:30Z", "2026-06-11T03:30Z");
        check("00:15:00", "+05:30", "2026-06-10T18:50:00Z", "2026-06-10T18:45Z", "2026-06-11T18:45Z");
    }

    #[test]
    fn changes_of_clocks_neither_repeat_nor_skip_a_day() {
        // Half past two is left out on 29 March 2026 in Berlin, and comes twice on 25 October.
        check("02:30:00", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-28T01:30Z", "2026-03-29T01:30Z");
        check("02:30:00", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T01:30Z", "2026-03-30T00:30Z");
        check("02:30:00", "Europe/Berlin", "2026-10-25T00:45:00Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z");
        check("02:30:00", "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z");
        for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"] {
            let schedule = schedule("02:15:00", zone);
            let first: DateTime<Utc> = "2026-01-01T12:00:00Z".parse().unwrap();
            let quarters = (0..365 * 96).map(|quarter| schedule.latest(first + chrono::TimeDelta::minutes(15 * quarter)));
            let mut due: Vec<_> = quarters.collect();
            assert!(due.is_sorted(), "{zone}");
            due.dedup();
            assert_eq!(due.len(), 366, "{zone}: the day before, and one for each day");
        }
    }
}
