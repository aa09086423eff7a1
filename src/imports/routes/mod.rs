//! The addresses of imports.

mod bulk_upload;
mod files;
mod new;
mod proposal;
mod requests;
mod shown;
mod steps;
mod views;

use std::time::Duration;

use crate::api::Request;
use crate::api::paging::Rows;
use crate::app::App;
use crate::auth::Permission::{self, Import, Manage};
use crate::auth::{Caller, may};
use crate::error::{Error, Result};
use crate::http::Routes;
use crate::imports::store::{self, Owner};
use crate::operation::{Created, NoContent, Nothing, Unversioned};
use crate::routes;
use crate::values::ids::ImportId;

pub use bulk_upload::routes as bulk_upload_routes;

use files::{errors, template};
use new::create;
use requests::{Listing, RowsListing, Said, TemplateParameters, UploadForm, WorkbookFile};
use shown::{Limits, Preview, Progress, Report, Shown, ShownRow, Surveyed};
use steps::{Begun, approve, cancel, commit, map, pause, remove, resume, undo, validate};
use views::{limits, list, preview, read, report, rows};

const NAME: &str = "import";

/// A slow line of 1.5 Mbit/s sends a file of 100 MB meanwhile.
const UPLOAD_TIME: Duration = Duration::from_mins(10);

/// What a form has beside its file: heads of parts, boundaries, texts.
const FORM_BYTES: u64 = 64 * 1024;

/// Most bytes of the choices for the columns of a sheet.
const MAPPING_BYTES: u64 = 1024 * 1024;

/// The access matrix of imports. Users see their own, managers those of all.
pub fn routes(app: &App) -> Routes {
    routes! { app, "imports";
        /// Say what files may have and what they can hold.
        get    ("limits")               may(Import) => limits:   Nothing -> Limits;
        /// Get a workbook to fill in. With `data=current` it holds the current records; that needs the permission `export` too.
        get    ("template.xlsx")        may(Import) => template: TemplateParameters -> WorkbookFile;
        get    ()                       may(Import) => list:     Listing -> Rows<Shown>;
        /// Upload a file to import. The answer proposes which column holds what.
        post   ()                       may(Import) up_to(upload_limit(app)) within(UPLOAD_TIME) => create: UploadForm -> Created<Surveyed>;
        get    (ImportId)               may(Import) => read:     Nothing -> Progress;
        /// Delete an import with its file and its rows. What it has imported stays.
        delete (ImportId)               may(Import) => remove:   Nothing -> NoContent;
        /// Say which column holds what. Files with the same headings are mapped alike from then on.
        post   (ImportId / "mapping")   may(Import) up_to(MAPPING_BYTES) => map: Said -> Surveyed;
        /// Try all rows and keep nothing of it. Many rows are a job.
        post   (ImportId / "validate")  may(Import) => validate: Unversioned<Nothing> -> Begun;
        /// See what a commit would do.
        get    (ImportId / "preview")   may(Import) => preview:  Nothing -> Preview;
        /// Allow an import of more rows than its user imports alone.
        post   (ImportId / "approve")   may(Manage) => approve:  Unversioned<Nothing> -> Shown;
        /// Import the rows that are right. Many rows are a job.
        post   (ImportId / "commit")    may(Import) => commit:   Unversioned<Nothing> -> Begun;
        /// Pause an import when the rows under way are done.
        post   (ImportId / "pause")     may(Import) => pause:    Unversioned<Nothing> -> Progress;
        post   (ImportId / "resume")    may(Import) => resume:   Unversioned<Nothing> -> Progress;
        /// Cancel an import when the rows under way are done. What is done stays done.
        post   (ImportId / "cancel")    may(Import) => cancel:   Unversioned<Nothing> -> Progress;
        /// Undo an import: delete what it created and change back what it changed, unless it was changed since.
        post   (ImportId / "undo")      may(Import) => undo:     Unversioned<Nothing> -> Begun;
        get    (ImportId / "rows")      may(Import) => rows:     RowsListing -> Rows<ShownRow>;
        /// Count the issues by code.
        get    (ImportId / "report")    may(Import) => report:   Nothing -> Report;
        /// Get the rows that failed, to be mended and uploaded again.
        get    (ImportId / "errors.xlsx") may(Import) => errors: Nothing -> WorkbookFile;
    }
}

/// Bytes of a form with a file.
fn upload_limit(app: &App) -> u64 {
    app.config.imports.sheets.max_file_bytes.saturating_add(FORM_BYTES)
}

fn owner(caller: &Caller) -> Owner {
    if caller.has(Permission::Manage) { Owner::Anyone } else { Owner::User(caller.id) }
}

/// Reads an import; one of another user is not found.
async fn visible(id: ImportId, caller: &Caller, request: &Request) -> Result<store::Import> {
    check_visible(store::find(&request.app.db.read, id).await?, caller)
}

fn check_visible(import: Option<store::Import>, caller: &Caller) -> Result<store::Import> {
    let includes = |import: &store::Import| match owner(caller) {
        Owner::Anyone => true,
        Owner::User(user) => import.created_by == Some(user.0),
    };
    import.filter(includes).ok_or(Error::NotFound(NAME))
}
