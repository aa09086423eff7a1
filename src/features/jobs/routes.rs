//! The addresses of jobs.

use serde_json::json;

use crate::api::paging::{Part, Rows};
use crate::api::{self, Contended, Reply, Request};
use crate::app::App;
use crate::auth::Permission::{self, Read};
use crate::auth::{Caller, may};
use crate::error::{Error, Result};
use crate::http::Routes;
use crate::jobs::store::{self, Command, Filter, Owner};
use crate::jobs::{Item, ItemStatus, Job, State};
use crate::operation::{Nothing, Operation, Takes, Unversioned};
use crate::routes;
use crate::values::ids::JobId;

const NAME: &str = "job";

/// The access matrix of jobs. Users see and control their own jobs, managers those of all.
pub fn routes(app: &App) -> Routes {
    routes! { app, "jobs";
        get  ()                 may(Read) => list:   Listing -> Rows<Job>;
        get  (JobId)            may(Read) => read:   Nothing -> Job;
        get  (JobId / "items")  may(Read) => items:  Items -> Rows<Item>;
        /// Cancel a job when the chunk under way ends. What is done stays done.
        post (JobId / "cancel") may(Read) => cancel: Unversioned<Nothing> -> Job;
        /// Pause a job when the chunk under way ends.
        post (JobId / "pause")  may(Read) => pause:  Unversioned<Nothing> -> Job;
        post (JobId / "resume") may(Read) => resume: Unversioned<Nothing> -> Job;
        /// Retry the failed items of a job, or a failed job from its last chunk.
        post (JobId / "retry")  may(Read) => retry:  Unversioned<Nothing> -> Job;
    }
}

/// The parameters of the list.
struct Listing;

impl Takes for Listing {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
        operation.query("kind", "Of which kind.", json!({ "type": "string" }));
        operation.query("status", "In which state.", json!({ "type": "string", "enum": State::ALL.map(State::name) }));
    }
}

/// The parameters of the items of a job.
struct Items;

impl Takes for Items {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
        let statuses = ItemStatus::ALL.map(ItemStatus::name);
        operation.query("status", "What has become of them.", json!({ "type": "string", "enum": statuses }));
    }
}

/// What the parameters of a list ask for.
struct Asked {
    kind: Option<String>,
    status: Option<String>,
    part: Part,
}

async fn list(caller: Caller, request: Request) -> Result<Reply> {
    let asked = Asked::read(&request, &["kind", "status"], &State::ALL.map(State::name))?;
    let status = State::ALL.into_iter().find(|state| asked.status.as_deref() == Some(state.name()));
    let filter = Filter { owner: owner(&caller), kind: asked.kind, status };
    let jobs = store::page(&request.app.db.read, &filter, asked.part.after, asked.part.to_read()).await?;
    asked.part.answer(&request, jobs, |job| job.id)
}

async fn read(id: JobId, caller: Caller, request: Request) -> Result<Reply> {
    api::json(&visible(id, &caller, &request).await?)
}

async fn items(id: JobId, caller: Caller, request: Request) -> Result<Reply> {
    let asked = Asked::read(&request, &["status"], &ItemStatus::ALL.map(ItemStatus::name))?;
    visible(id, &caller, &request).await?;
    let part = &asked.part;
    let items = store::items(&request.app.db.read, id, asked.status.as_deref(), part.after, part.to_read()).await?;
    part.answer(&request, items, |item| item.id)
}

async fn cancel(id: JobId, caller: Caller, request: Request) -> Result<Reply> {
    command(id, Command::Cancel, &caller, &request).await
}

async fn pause(id: JobId, caller: Caller, request: Request) -> Result<Reply> {
    command(id, Command::Pause, &caller, &request).await
}

async fn resume(id: JobId, caller: Caller, request: Request) -> Result<Reply> {
    command(id, Command::Resume, &caller, &request).await
}

async fn retry(id: JobId, caller: Caller, request: Request) -> Result<Reply> {
    command(id, Command::Retry, &caller, &request).await
}

async fn command(id: JobId, command: Command, caller: &Caller, request: &Request) -> Result<Reply> {
    visible(id, caller, request).await?;
    let carry_out = async |connection: &mut _| api::json(&store::command(connection, id, command).await?);
    request.write(caller.id, Contended::Record(id.0), carry_out).await
}

fn owner(caller: &Caller) -> Owner {
    if caller.has(Permission::Manage) { Owner::Anyone } else { Owner::User(caller.id) }
}

/// Reads a job; one of another user is not found.
async fn visible(id: JobId, caller: &Caller, request: &Request) -> Result<Job> {
    let job = store::find(&request.app.db.read, id).await?;
    job.filter(|job| owner(caller).includes(job)).ok_or(Error::NotFound(NAME))
}

impl Asked {
    /// Reads the parameters of a list that filters by these, with these words as its statuses.
    fn read(request: &Request, filters: &[&str], statuses: &[&str]) -> Result<Self> {
        let mut asked = Self { kind: None, status: None, part: Part::new(request) };
        for (name, value) in request.parameters() {
            if asked.part.take(request, &name, &value)? {
                continue;
            }
            let refused = |message: String| Error::malformed("bad_parameter", format!("{name}: {message}"));
            match &*name {
                "status" if statuses.contains(&&*value) => asked.status = Some(value.into_owned()),
                "status" => return Err(refused(format!("takes one of {}", statuses.join(", ")))),
                "kind" if filters.contains(&"kind") => asked.kind = Some(value.into_owned()),
                _ => return Err(refused(format!("known are {}, limit, cursor and syncToken", filters.join(", ")))),
            }
        }
        Ok(asked)
    }
}
