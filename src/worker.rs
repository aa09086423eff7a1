//! The list of background work that belongs to no request: the kinds of jobs, and those that run every day.

use chrono::NaiveTime;

use crate::app::App;
use crate::audit;
use crate::auth::RemoveEndedSessions;
use crate::config::Analytics;
use crate::dashboard::RemoveOldUsage;
use crate::error::Result;
use crate::exports::ExportRecords;
use crate::features::accounts::Account;
use crate::features::activities::Activity;
use crate::features::analytics::TakeSnapshots;
use crate::features::customers::Customer;
use crate::features::payments::Payment;
use crate::features::resource::ChangeMany;
use crate::features::users;
use crate::imports::run::{Commit, RemoveOldRows, Undo, Validate};
use crate::jobs::{self, Kinds, RemoveOld, Schedule};
use crate::notifications::{self, RemoveOldNotifications, TellOverdue};
use crate::storage;

/// Every kind of job.
#[must_use]
pub fn kinds() -> Kinds {
    let bulk = Kinds::default().with::<ChangeMany<Account>>().with::<ChangeMany<Customer>>();
    let bulk = bulk.with::<ChangeMany<Payment>>().with::<ChangeMany<Activity>>();
    let imports = bulk.with::<Validate>().with::<Commit>().with::<Undo>();
    let news = imports.with::<RemoveOldNotifications>().with::<TellOverdue>();
    let removals = news.with::<RemoveEndedSessions>().with::<RemoveOld>().with::<RemoveOldRows>().with::<RemoveOldUsage>();
    removals.with::<storage::RemoveExpired>().with::<TakeSnapshots>().with::<ExportRecords>()
}

/// What runs every day, while few users work.
pub fn schedules(app: &App) -> Result<Vec<Schedule>> {
    let (zone, hour) = (app.config.default_time_zone, |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default());
    let mut schedules = vec![
        Schedule::daily::<RemoveEndedSessions>(hour(3), zone)?,
        Schedule::daily::<RemoveOld>(hour(4), zone)?,
        Schedule::daily::<storage::RemoveExpired>(hour(5), zone)?,
        Schedule::daily::<RemoveOldRows>(hour(5), zone)?,
        Schedule::daily::<RemoveOldNotifications>(hour(5), zone)?,
        Schedule::daily::<RemoveOldUsage>(hour(5), zone)?,
        Schedule::daily::<TellOverdue>(hour(6), zone)?,
    ];
    if app.config.search.analytics != Analytics::Off {
        schedules.push(Schedule::daily::<TakeSnapshots>(hour(0), zone)?);
    }
    Ok(schedules)
}

/// Works until the application is stopped.
pub async fn run(app: App) -> Result<()> {
    let schedules = schedules(&app)?;
    let sealing = audit::run(&app.db.server, &app.audit.keys, &app.clock, &app.stop);
    let telling = notifications::run(app.clone());
    tokio::try_join!(jobs::run(app.clone(), kinds(), schedules), users::deliver_mail(app.clone()), sealing, telling).map(drop)
}
