//! An upload becomes an import: the file is looked at, mapped as well as its headings say, and stored.

use hyper::StatusCode;
use hyper::header::LOCATION;
use sqlx::PgConnection;
use uuid::Uuid;

use super::proposal::{self, Proposal};
use super::requests::{self, FORM, Said};
use crate::api::files::Upload;
use crate::api::{Contended, Reply, Request};
use crate::auth::{Caller, count_bulk};
use crate::error::{Result, Violations};
use crate::imports::Target;
use crate::imports::store::{self, Import, KEPT};
use crate::imports::workbooks::settings::{Settings, Unusable};
use crate::storage::{self, NewFile};

/// Stores the file of an import.
pub(super) async fn keep(connection: &mut PgConnection, upload: Upload, caller: &Caller, request: &Request) -> Result<Uuid> {
    let now = request.app.clock.now();
    let new = NewFile { name: &upload.name, by: Some(caller.id), created_at: now, expires_at: now + KEPT };
    Ok(storage::store(connection, upload.file, new).await?.0)
}

pub(super) async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    count_bulk(&request, &caller).await?;
    let mut upload = request.upload(&FORM).await?;
    let mut violations = Violations::default();
    let target = requests::target(&mut upload.fields, &mut violations);
    let said = Said::of_form(std::mem::take(&mut upload.fields), &mut violations);
    violations.check()?;
    let (mut import, proposal) = begin(target.unwrap_or(Target::Customers), &upload, &said, &caller, &request).await?;
    request
        .write(caller.id, Contended::Nothing, async |connection| {
            import.file_id = Some(keep(connection, upload, &caller, &request).await?);
            store::insert(connection, &import).await?;
            let import = store::lock(connection, import.id).await?;
            let location = format!("/api/v1/imports/{}", import.id);
            Ok(proposal.answer(import)?.with(LOCATION, &location).with_status(StatusCode::CREATED))
        })
        .await
}

/// Looks at an uploaded file and proposes how to import it.
pub(super) async fn begin(
    target: Target,
    upload: &Upload,
    said: &Said,
    caller: &Caller,
    request: &Request,
) -> Result<(Import, Proposal)> {
    let mut import = Import::new(target, upload.name.clone(), upload.sha256);
    import.authority = caller.authority();
    import.created_by = Some(caller.id.0);
    let file = upload.file.try_clone().map_err(crate::error::Error::internal)?;
    let book = proposal::survey(&import, file, said, request).await?;
    let said = match Settings::carried(target, &book) {
        Ok(Some(settings)) => said.clone().or(settings),
        Ok(None) | Err(Unusable) => said.clone(),
    };
    let proposal = proposal::propose(&mut import, book, &said, request).await?;
    Ok((import, proposal))
}
