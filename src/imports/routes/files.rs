//! Workbooks to save: templates, and the rows that failed.

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use super::requests::target_named;
use super::visible;
use crate::api::{Reply, Request, files};
use crate::app::App;
use crate::audit::Action as Audited;
use crate::auth::Caller;
use crate::auth::Permission::{Export, Personal};
use crate::error::{Error, Result};
use crate::imports::Target;
use crate::imports::store::rows::{self as stored_rows, Filter};
use crate::imports::store::{Action, Import};
use crate::imports::workbooks::current::{self, MOST_RECORDS};
use crate::imports::workbooks::errors::{self as failed_rows, FailedRow};
use crate::imports::workbooks::{MEDIA_TYPE, template as templates};
use crate::values::ids::ImportId;

/// Rows that are read at once, and that wait for the writer.
const BATCH: i64 = 500;
const WAITING: usize = 1_000;

/// Answers with a template; with the current records only to callers who may export them and see them unmasked.
pub(super) async fn template(caller: Caller, request: Request) -> Result<Reply> {
    let (mut target, mut has_data) = (Target::Customers, false);
    for (name, value) in request.parameters() {
        match (&*name, &*value) {
            ("target", name) => target = target_named(name)?,
            ("data", "current") => has_data = true,
            ("data", "none") => has_data = false,
            ("data", _) => return Err(Error::malformed("bad_parameter", "data: takes none or current")),
            _ => return Err(Error::malformed("bad_parameter", "known are target and data")),
        }
    }
    let (mut records, mut remark) = (Vec::new(), None);
    if has_data {
        caller.require(Export)?;
        caller.require(Personal)?;
        let current = current::read(&request.app.db.read, target).await?;
        remark = current.has_more.then(|| format!("There are more than {MOST_RECORDS} records: the oldest are in this file."));
        records = current.records;
        let details = serde_json::json!({ "records": records.len(), "as": "template" }).to_string();
        request.app.audit.note(|| request.audit_entry(Audited::Export, target.name(), None, Some(details)));
    }
    let write = spawn_blocking(move || templates::write(target, &records, remark.as_deref()));
    let file = write.await.map_err(Error::internal)??;
    files::file(&format!("{}_template.xlsx", target.name()), MEDIA_TYPE, file)
}

/// Answers with the rows that failed, as far as the import has come.
pub(super) async fn errors(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    let import = visible(id, &caller, &request).await?;
    let stem = import.file_name.rsplit_once('.').map_or(&*import.file_name, |(stem, _)| stem);
    let (app, name) = (request.app.clone(), format!("{stem}_errors.xlsx"));
    Ok(files::generated(&name, MEDIA_TYPE, move |sink| async move {
        let file = write_errors(app, import).await?;
        let mut chunks = ReaderStream::new(tokio::fs::File::from_std(file));
        while let Some(chunk) = chunks.next().await {
            sink.send(chunk.map_err(Error::internal)?).await;
        }
        Ok(())
    }))
}

/// Writes the rows that failed; see [`failed_rows::write`].
pub(crate) async fn write_errors(app: App, import: Import) -> Result<std::fs::File> {
    let columns = import.columns.map(|columns| columns.0).unwrap_or_default();
    let headings: Vec<String> = columns.into_iter().map(|column| column.heading).collect();
    let (sender, receiver) = mpsc::channel(WAITING);
    let name = import.sheet.unwrap_or_else(|| import.target.name().to_owned());
    let writer = spawn_blocking(move || failed_rows::write(&name, &headings, receiver));
    let sent = send_failed(&app, import.id, &sender).await;
    if let Err(error) = sent {
        // The writer ends with it.
        sender.send(Err(error)).await.ok();
    }
    drop(sender);
    writer.await.map_err(Error::internal)?
}

/// Reads the rows that failed, until the writer has ended.
async fn send_failed(app: &App, id: ImportId, sender: &mpsc::Sender<Result<FailedRow>>) -> Result<()> {
    let filter = Filter { action: Some(Action::Error), status: None };
    let mut after = 0;
    loop {
        let rows = stored_rows::page(&app.db.read, id, &filter, after, BATCH).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.number;
        for row in rows {
            let issues = row.issues.map(|issues| issues.0).unwrap_or_default();
            if sender.send(Ok(FailedRow { cells: row.cells.0, issues })).await.is_err() {
                return Ok(());
            }
        }
    }
}
