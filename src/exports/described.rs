//! What the addresses of exports take and answer.

use std::marker::PhantomData;

use serde_json::json;

use super::plan::OF_PAGES;
use super::stored::Shown;
use super::table::Format;
use crate::features::resource::{List, Resource};
use crate::operation::{Answers, Operation, Takes};

/// The parameters of a list that is exported.
pub(super) struct Exported<R>(PhantomData<R>);

impl<R: Resource> Takes for Exported<R> {
    fn describe(operation: &mut Operation<'_>) {
        List::<R>::describe(operation);
        operation.parameters.retain(|parameter| !OF_PAGES.iter().any(|name| parameter["name"] == *name));
        let formats = Format::ALL.map(Format::name);
        operation.query("format", "What kind of file.", json!({ "type": "string", "enum": formats, "default": "csv" }));
        let columns: Vec<&str> = R::collection().members().chain(["*"]).collect();
        operation.query(
            "columns",
            "Members to show, in this order; `*` is all of them, and usual but for payments as csv.",
            json!({ "type": "array", "items": { "type": "string", "enum": columns }, "minItems": 1, "uniqueItems": true }),
        );
        operation.query(
            "raw",
            "For programs: texts as they are, even those that a spreadsheet would calculate, and no byte order mark.",
            json!({ "type": "boolean", "default": false }),
        );
        operation.header("Prefer", "`respond-async` makes a job of it.", json!({ "type": "string" }));
    }
}

/// The file. Or 202 with the job that writes it.
pub(super) struct FileOrJob;

impl Answers for FileOrJob {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_files(Format::ALL.map(Format::bare_media_type));
        operation.headers.extend(["X-Read-Source", "X-Total-Count"]);
        operation.also_answers::<Shown>(202);
    }
}
