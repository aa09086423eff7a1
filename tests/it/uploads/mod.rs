//! Imports by HTTP: the flow, the error workbook, templates and whole uploads.

#[path = "../imports/bulk_upload.rs"]
mod bulk_upload;
#[path = "../imports/errors_workbook.rs"]
mod errors_workbook;
#[path = "../imports/files.rs"]
mod files;
#[path = "../imports/flow.rs"]
mod flow;
#[path = "../imports/template.rs"]
mod template;
