//! The dashboard: all that it shows in one answer.

use schemars::JsonSchema;
use serde::Serialize;

use super::debts::{self, Debts};
use super::team::{self, Agent, StateCount, SyncState};
use crate::api::figures::{Asked, Charted, Shown};
use crate::api::{Reply, Request, json};
use crate::auth::{Caller, Permission};
use crate::error::Result;
use crate::features::payments::{self, Stats};

/// What dashboards show. Each part says how current it is.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Dashboard")]
pub(super) struct Parts<'a> {
    payments: Shown<'a, Stats>,
    accounts: Shown<'a, Debts>,
    #[serde(flatten)]
    team: Option<Team<'a>>,
}

/// What managers see besides.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
struct Team<'a> {
    /// Users with open accounts or with activities of the last seven days, the most accounts first.
    #[schemars(skip_serializing_if = "Option::is_none")]
    agents: Vec<Agent>,
    /// Jobs by state: those that are unfinished, or have ended within a day.
    #[schemars(skip_serializing_if = "Option::is_none")]
    jobs: &'a [StateCount],
    /// Imports by state: those that have changed within seven days.
    #[schemars(skip_serializing_if = "Option::is_none")]
    imports: &'a [StateCount],
    #[schemars(skip_serializing_if = "Option::is_none")]
    sync: &'a SyncState,
}

/// A dashboard, for the description.
pub(super) type Dashboard = Parts<'static>;

impl Charted for Parts<'_> {
    const PARAMETERS: &'static [&'static str] = &["tz", "currency"];
}

pub(super) async fn dashboard(caller: Caller, request: Request) -> Result<Reply> {
    let (asked, app) = (Asked::read::<Dashboard>(&request)?, &request.app);
    let figures = Box::pin(async { tokio::try_join!(payments::stats_of(&request, &asked), debts::of(&request, &asked)) });
    if !caller.has(Permission::Manage) {
        let (payments, debts) = figures.await?;
        return json(&Parts { payments: payments.shown(app), accounts: debts.shown(app), team: None });
    }
    let ((payments, debts), work, done) = tokio::try_join!(figures, team::work(app), team::activities(&request, &asked))?;
    let team = Team {
        agents: team::agents(&work, debts.figures(), done.figures()),
        jobs: &work.jobs,
        imports: &work.imports,
        sync: &work.sync,
    };
    json(&Parts { payments: payments.shown(app), accounts: debts.shown(app), team: Some(team) })
}
