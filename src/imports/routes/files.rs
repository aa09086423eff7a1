//! Workbooks to save: templates, and the rows that failed.

use futures_util::StreamExt;
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use super::requests::target_named;
use super::visible;
use crate::api::{Reply, Request, files};
use crate::audit::Action as Audited;
use crate::auth::Caller;
use crate::auth::Permission::{Export, Personal};
use crate::error::{Error, Result};
use crate::imports::Target;
use crate::imports::workbooks::current::{self, MOST_RECORDS};
use crate::imports::workbooks::{MEDIA_TYPE, errors as failed_rows, template as templates};
use crate::values::ids::ImportId;

/// Answers with a template; with the current records only to callers who may export them and see them unmasked.
pub(super) async fn template(caller: Caller, request: Request) -> Result<Reply> {
    let (mut target, mut has_data) = (Target::Customers, false);
    for (name, value) in request.parameters() {
        match (&*name, &*value) {
            ("target", name) => target = target_named(name)?,
            ("data", "current") => has_data = true,
            ("data", "none") => has_data = false,
            ("data", _) => return Err(Error::malformed("bad_parameter", "data: takes none or current")),
            ("syncToken", _) => {}
            _ => return Err(Error::malformed("bad_parameter", "known are target, data and syncToken")),
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
        let file = failed_rows::of(&app, import).await?;
        let mut chunks = ReaderStream::new(tokio::fs::File::from_std(file));
        while let Some(chunk) = chunks.next().await {
            sink.send(chunk.map_err(Error::internal)?).await;
        }
        Ok(())
    }))
}
