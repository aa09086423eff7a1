//! The team: what each has to do and has done, what the machines do for it, and whether lists are current.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::debts::Debts;
use crate::api::Request;
use crate::api::figures::{self, Asked, Seen, groups};
use crate::app::App;
use crate::cache::Found;
use crate::error::{Error, Result};
use crate::features::activities::COLLECTION;
use crate::search::Filter;
use crate::search::aggregate::{Bucket, Counted};
use crate::search::filter::{Bound, Test, Value};
use crate::search::{Field, field};
use crate::sync::overview;

/// More users than a team has; names of others are left out.
const MOST_USERS: i64 = 10_000;

static OCCURRED_AT: &Field = field(COLLECTION.fields, "occurredAt");

#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Agent {
    id: Uuid,
    name: String,
    open_accounts: u64,
    activities_today: u64,
    /// Of the last seven days, today among them.
    activities_week: u64,
}

#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct StateCount {
    status: String,
    count: i64,
}

/// Whether lists are current.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SyncState {
    /// How long changes have waited to become searchable; unknown before the first index.
    lag_ms: Option<u64>,
    /// Documents to write again, up to 10,000.
    backlog: i64,
    /// Documents that Elasticsearch refused, up to 10,000.
    dead_letters: i64,
    /// Why lists are late or come from Postgres, in sentences.
    reasons: Vec<String>,
}

/// What Postgres alone knows.
pub(super) struct Work {
    names: HashMap<Uuid, String>,
    pub(super) jobs: Vec<StateCount>,
    pub(super) imports: Vec<StateCount>,
    pub(super) sync: SyncState,
}

/// Activities by user.
pub(super) struct Done {
    today: BTreeMap<Uuid, u64>,
    week: BTreeMap<Uuid, u64>,
}

pub(super) async fn work(app: &App) -> Result<Arc<Work>> {
    let found = app.figures.get("work", |_| true, read_work(app)).await?;
    let (Found::Current(work) | Found::Last(work)) = found;
    Ok(work)
}

async fn read_work(app: &App) -> Result<Work> {
    let mut connection = app.db.read.acquire().await?;
    let names = sqlx::query!(r#"select id, coalesce(name, username) as "name!" from users order by id limit $1"#, MOST_USERS);
    let names = names.fetch_all(&mut *connection).await?.into_iter().map(|user| (user.id, user.name)).collect();
    let jobs = sqlx::query_as!(
        StateCount,
        r#"
        select state as status, count(*) as "count!"
        from jobs
        where finished_at is null or finished_at > now() - interval '1 day'
        group by state
        order by state
        "#,
    );
    let jobs = jobs.fetch_all(&mut *connection).await?;
    let imports = sqlx::query_as!(
        StateCount,
        r#"
        select state as status, count(*) as "count!"
        from imports
        where updated_at > now() - interval '7 days'
        group by state
        order by state
        "#,
    );
    let imports = imports.fetch_all(&mut *connection).await?;
    let overview = overview::read(app, &app.db.watch).await?;
    let sync = SyncState {
        lag_ms: overview.health.lag_ms,
        backlog: overview.health.backlog,
        dead_letters: overview.health.dead_letters,
        reasons: overview.reasons,
    };
    Ok::<_, Error>(Work { names, jobs, imports, sync })
}

/// Counts the activities of each user today and in the last seven days; of the hundred who have the most.
pub(super) async fn activities(request: &Request, asked: &Asked) -> Result<Seen<Done>> {
    let zone = asked.zone.to_string();
    let parameters = [("aggs", "terms(userId)"), ("facetSize", "100"), ("tz", &*zone)];
    let mut query = figures::query(request, &COLLECTION, &parameters)?;
    let week = query.aggregates.list.clone();
    query.aggregates.list.extend(week);
    for (aggregation, days) in query.aggregates.list.iter_mut().zip([1, 7]) {
        let period = asked.last_days(days);
        let bound = |at, inclusive| Bound { value: Value::Moment(at), inclusive };
        let (from, before) = (period.from.map(|at| bound(at, true)), period.before.map(|at| bound(at, false)));
        aggregation.among = Filter::Leaf(OCCURRED_AT, Test::Range(from, before));
    }
    figures::count(request, &COLLECTION, &format!("activities {zone}"), &query, read_done).await
}

fn read_done(counted: Vec<Counted>) -> Result<Done> {
    let [today, week] = groups(counted)?;
    let by_user =
        |buckets: Vec<Bucket>| buckets.into_iter().filter_map(|bucket| Some((bucket.value.parse().ok()?, bucket.count)));
    Ok(Done { today: by_user(today.buckets).collect(), week: by_user(week.buckets).collect() })
}

pub(super) fn agents(work: &Work, debts: &Debts, done: &Done) -> Vec<Agent> {
    let ids: BTreeSet<Uuid> = [&debts.assigned, &done.week, &done.today].into_iter().flat_map(BTreeMap::keys).copied().collect();
    let of = |counts: &BTreeMap<Uuid, u64>, id| counts.get(&id).copied().unwrap_or(0);
    let agent = |id| {
        Some(Agent {
            id,
            name: work.names.get(&id)?.clone(),
            open_accounts: of(&debts.assigned, id),
            activities_today: of(&done.today, id),
            activities_week: of(&done.week, id),
        })
    };
    let mut agents: Vec<Agent> = ids.into_iter().filter_map(agent).collect();
    agents.sort_by(|one, other| other.open_accounts.cmp(&one.open_accounts).then_with(|| one.name.cmp(&other.name)));
    agents
}
