//! The addresses of exports: below each list, and those of the files that jobs write.

use futures_util::TryStreamExt;
use hyper::header::HeaderName;

use super::described::{Exported, FileOrJob};
use super::job::ExportRecords;
use super::plan::{Occasion, Plan};
use super::records::{self, Begun, Wanted};
use super::store;
use super::stored;
use super::table::Mark;
use crate::api::{Contended, Reply, Request, files};
use crate::app::App;
use crate::audit::Action;
use crate::auth::Permission::Export;
use crate::auth::{Caller, count_bulk, may};
use crate::error::Result;
use crate::features::accounts::Account;
use crate::features::activities::Activity;
use crate::features::customers::Customer;
use crate::features::payments::Payment;
use crate::features::resource::Resource;
use crate::http::Routes;
use crate::jobs::{self, Terms};
use crate::routes;
use crate::storage::{self, NewFile};
use crate::values::ids::ExportId;

const READ_SOURCE: HeaderName = HeaderName::from_static("x-read-source");
const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// The access matrix of exports.
#[must_use]
pub fn routes(app: &App) -> Routes {
    let lists = vec![
        routes! { app, "customers";
            /// Export the list of customers as a file.
            get ("export") may(Export) => export::<Customer>: Exported<Customer> -> FileOrJob;
        },
        routes! { app, "accounts";
            /// Export the list of accounts as a file.
            get ("export") may(Export) => export::<Account>: Exported<Account> -> FileOrJob;
        },
        routes! { app, "payments";
            /// Export the list of payments as a file.
            get ("export") may(Export) => export::<Payment>: Exported<Payment> -> FileOrJob;
        },
        routes! { app, "activities";
            /// Export the list of activities as a file.
            get ("export") may(Export) => export::<Activity>: Exported<Activity> -> FileOrJob;
        },
    ];
    Routes::join([lists, vec![stored::routes(app)]].concat())
}

/// Answers with a whole list, or with the job that writes it.
async fn export<R: Resource>(caller: Caller, request: Request) -> Result<Reply> {
    let parameters: Vec<(String, String)> =
        request.parameters().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let mark = if request.is_canonical() { Mark::ForSpreadsheets } else { Mark::Never };
    let occasion = Occasion { mark, ..Occasion::new(caller.disclosure(), request.app.clock.now()) };
    let plan = Plan::read(&request.app, R::collection(), &parameters, occasion)?;
    if plan.list.shape.includes_deleted {
        caller.check_sees_deleted()?;
    }
    count_bulk(&request, &caller).await?;
    if request.prefers_async() {
        return enqueue(&plan, &parameters, occasion, &caller, &request).await;
    }
    let wanted = Wanted::Indexed(request.wanted_lsn().await?);
    let (name, media_type, mut details) = (plan.file_name(), plan.layout.format.media_type(), plan.details(&request.app));
    let Begun { total, engine, mut file } = records::begin(&request.app, plan, wanted).await?;
    if total > request.app.config.exports.sync_rows {
        drop(file);
        let plan = Plan::read(&request.app, R::collection(), &parameters, occasion)?;
        return enqueue(&plan, &parameters, occasion, &caller, &request).await;
    }
    details["rows"] = total.into();
    // Before the first record leaves.
    let entry = request.audit_entry(Action::Export, R::collection().name, None, Some(details.to_string()));
    request.app.audit.write(entry).await?;
    // Without the request, whose slot is free when the answer begins.
    let reply = files::generated(&name, media_type, |sink| async move {
        while let Some(chunk) = file.try_next().await? {
            sink.send(chunk).await;
        }
        Ok(())
    });
    Ok(reply.with(READ_SOURCE, engine.name()).with(TOTAL_COUNT, &total.to_string()))
}

/// Answers 202 with the job that does the export.
async fn enqueue(
    plan: &Plan,
    parameters: &[(String, String)],
    occasion: Occasion,
    caller: &Caller,
    request: &Request,
) -> Result<Reply> {
    let (id, wanted) = (ExportId::new(), request.wanted_lsn().await?.map(|lsn| lsn.0));
    let mut details = plan.details(&request.app);
    details["job"] = true.into();
    let entry = request.audit_entry(Action::Export, plan.collection.name, Some(id.0), Some(details.to_string()));
    request.app.audit.write(entry).await?;
    let insert = async |connection: &mut _| {
        let job = jobs::enqueue(connection, &ExportRecords { export: id, wanted }, Terms::default().by(caller.id)).await?.id();
        let (name, created_at) = (plan.file_name(), occasion.now);
        let new = NewFile { name: &name, by: Some(caller.id), created_at, expires_at: created_at + stored::KEPT };
        let file = storage::create(connection, new).await?;
        let (collection, format) = (plan.collection, plan.layout.format);
        store::insert(connection, store::New { id, collection, parameters, format, occasion, file, job, by: caller.id }).await?;
        request.accepted(job, &stored::shown(connection, id, caller, request).await?)
    };
    request.write(caller.id, Contended::Nothing, insert).await
}
