//! What requests say of imports: the parts of the form, and their description for the API's documentation.

use std::collections::BTreeMap;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::files::Form;
use crate::error::{Error, Result, Violations};
use crate::imports::Target;
use crate::imports::mapping::Choice;
use crate::imports::store::{ACTIONS, Blank, Mode, Options};
use crate::imports::workbooks::MEDIA_TYPE;
use crate::imports::workbooks::settings::Settings;
use crate::operation::{Answers, Effect, Operation, Takes};

pub(super) const FORM: Form = Form { file: "file", fields: &["target", "mode", "key", "blank", "sheet", "headerRow", "options"] };

/// The form of a whole import in one request.
pub(super) const SHORT_FORM: Form = Form { file: "file", fields: &["mode", "key", "options"] };

/// What is said of an import when its file comes, or when it is mapped. What is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "ImportMappingRequest", extend("examples" = [example()]))]
pub(super) struct Said {
    /// The sheet of a workbook; the first one that is not hidden by default.
    #[schemars(length(max = 255))]
    pub(super) sheet: Option<String>,
    /// The row with the headings, as a spreadsheet counts; guessed by default.
    #[schemars(range(min = 1))]
    pub(super) header_row: Option<u64>,
    pub(super) mode: Option<Mode>,
    /// The field that finds the record of a row.
    #[schemars(length(max = 100))]
    pub(super) key: Option<String>,
    pub(super) blank: Option<Blank>,
    pub(super) options: Option<Options>,
    /// Columns that hold something else than was proposed.
    #[schemars(length(max = 16_384))]
    pub(super) columns: Vec<Choice>,
}

fn example() -> serde_json::Value {
    json!({ "mode": "upsert", "columns": [{ "heading": "Cust No", "field": "externalId" }, { "column": "D", "field": null }] })
}

impl Said {
    /// Adds what the file says of itself; what a request says wins.
    pub(super) fn or(self, carried: Settings) -> Self {
        Self {
            mode: self.mode.or(Some(carried.mode)),
            key: self.key.or(Some(carried.key)),
            blank: self.blank.or(Some(carried.blank)),
            options: Some(self.options.unwrap_or_default().or(carried.options)),
            ..self
        }
    }

    /// Reads the parts of a form.
    pub(super) fn of_form(mut parts: BTreeMap<&'static str, String>, violations: &mut Violations) -> Self {
        let mut take = |name: &str| parts.remove(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let header_row = take("headerRow").and_then(|text| {
            let row = text.parse().ok().filter(|row| *row > 0);
            if row.is_none() {
                violations.add("/headerRow", "not_acceptable", "takes the number of a row, from 1");
            }
            row
        });
        let options = take("options").and_then(|text| {
            serde_json::from_str(&text).map_err(|error| violations.add("/options", "not_acceptable", error.to_string())).ok()
        });
        Self {
            sheet: take("sheet"),
            header_row,
            mode: word(take("mode"), "mode", "insert, update, upsert", violations),
            key: take("key"),
            blank: word(take("blank"), "blank", "keep, clear", violations),
            options,
            columns: Vec::new(),
        }
    }
}

/// Reads the target of a form.
pub(super) fn target(parts: &mut BTreeMap<&'static str, String>, violations: &mut Violations) -> Option<Target> {
    let text = parts.remove("target").filter(|text| !text.trim().is_empty());
    if text.is_none() {
        violations.add("/target", "required", format!("takes one of {}", targets().join(", ")));
    }
    word(text, "target", &targets().join(", "), violations)
}

/// Reads the target of an address.
pub(super) fn target_named(text: &str) -> Result<Target> {
    let target = Target::value_variants().iter().find(|target| target.name() == text);
    let refused = || Error::malformed("bad_parameter", format!("target: takes one of {}", targets().join(", ")));
    target.copied().ok_or_else(refused)
}

fn targets() -> Vec<&'static str> {
    Target::value_variants().iter().map(|target| target.name()).collect()
}

fn word<T: DeserializeOwned>(text: Option<String>, name: &str, known: &str, violations: &mut Violations) -> Option<T> {
    let read = serde_json::from_value(text?.trim().to_lowercase().into()).ok();
    if read.is_none() {
        violations.add(format!("/{name}"), "unknown_value", format!("takes one of {known}"));
    }
    read
}

/// A form with a file.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a schema; the parts are read one by one")]
pub(super) struct NewImport {
    #[schemars(with = "String", extend("format" = "binary"))]
    file: (),
    target: Target,
    mode: Option<Mode>,
    /// The field that finds the record of a row.
    key: Option<String>,
    blank: Option<Blank>,
    /// The sheet of a workbook; the first one that is not hidden by default.
    sheet: Option<String>,
    /// The row with the headings; guessed by default.
    header_row: Option<u64>,
    /// `ImportOptions` as JSON.
    options: Option<String>,
}

/// A form with a file that is mapped and imported at once.
#[derive(JsonSchema)]
#[schemars(rename = "BulkUpload")]
#[expect(dead_code, reason = "it is a schema; the parts are read one by one")]
pub(super) struct NewBulkUpload {
    #[schemars(with = "String", extend("format" = "binary"))]
    file: (),
    mode: Option<Mode>,
    /// The field that finds the record of a row.
    key: Option<String>,
    /// `ImportOptions` as JSON.
    options: Option<String>,
}

pub(super) struct UploadForm;

impl Takes for UploadForm {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Adds;
        operation.takes_form::<NewImport>();
    }
}

pub(super) struct BulkUploadForm;

impl Takes for BulkUploadForm {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Adds;
        operation.takes_form::<NewBulkUpload>();
    }
}

/// The parameters of the list.
pub(super) struct Listing;

impl Takes for Listing {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
    }
}

/// What rows can be listed by besides their actions: what an undo did.
pub(super) const UNDONE: [&str; 3] = ["reversed", "kept", "errored"];

/// The parameters of the rows of an import.
pub(super) struct RowsListing;

impl Takes for RowsListing {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
        let statuses: Vec<&str> = ACTIONS.known.iter().copied().chain(UNDONE).collect();
        operation.query(
            "status",
            "What they do or have done, or what an undo did.",
            json!({ "type": "string", "enum": statuses }),
        );
    }
}

/// The parameters of a template.
pub(super) struct TemplateParameters;

impl Takes for TemplateParameters {
    fn describe(operation: &mut Operation<'_>) {
        let targets = json!({ "type": "string", "enum": targets(), "default": "customers" });
        operation.query("target", "What its rows become.", targets);
        let data = json!({ "type": "string", "enum": ["none", "current"], "default": "none" });
        operation.query("data", "Whether it holds the current records, to be edited.", data);
    }
}

/// A workbook to be saved.
pub(super) struct WorkbookFile;

impl Answers for WorkbookFile {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_file(MEDIA_TYPE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_with_all_its_faults() {
        let parts = |texts: &[(&'static str, &str)]| texts.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        let mut violations = Violations::default();
        let good =
            [("mode", "Upsert"), ("headerRow", "3"), ("sheet", " People "), ("options", r#"{"region":"AT"}"#), ("blank", "")];
        let said = Said::of_form(parts(&good), &mut violations);
        assert_eq!((said.mode, said.header_row, said.sheet.as_deref()), (Some(Mode::Upsert), Some(3), Some("People")));
        assert_eq!((said.blank, said.options.unwrap().region.as_deref(), violations.len()), (None, Some("AT"), 0));
        let bad = [("mode", "merge"), ("headerRow", "0"), ("options", r#"{"colour":1}"#), ("blank", "maybe")];
        let mut bad: BTreeMap<&'static str, String> = parts(&bad);
        assert_eq!(target(&mut bad, &mut violations), None);
        Said::of_form(bad, &mut violations);
        let mut wrong: Vec<&str> = violations.iter().map(|wrong| wrong.pointer.as_str()).collect();
        wrong.sort_unstable();
        assert_eq!(wrong, ["/blank", "/headerRow", "/mode", "/options", "/target"]);
    }
}
