//! What a route takes and what it answers, in the words of OpenAPI 3.1. A row of `routes!` names a type for each.

mod answers;
mod schemas;
mod takes;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde_json::{Value, json};

pub use answers::{Accepted, Answers, Created, NoContent, OrJob, Part, Text};
pub use schemas::{Schemas, inline, named};
pub use takes::{Nothing, Takes, Unversioned};

/// Name of the schema of `limit`, whose largest value is a setting.
pub const PAGE_SIZE: &str = "PageSize";

/// Media type of a form with a file.
pub const FORM: &str = "multipart/form-data";

/// Media type of server-sent events.
pub const EVENTS: &str = "text/event-stream";

/// One operation while its row describes it. What follows from method, path and permission is not said here.
pub struct Operation<'a> {
    schemas: &'a mut Schemas,
    pub effect: Effect,
    /// Parameter objects, in the order in which they are shown.
    pub parameters: Vec<Value>,
    /// Media type and schema of the body.
    pub body: Option<(&'static str, Value)>,
    /// Status of success.
    pub status: u16,
    /// Media type and schema of the answer to it.
    pub answer: Option<(&'static str, Value)>,
    /// Media types of files, one of which is the answer.
    pub files: Vec<&'static str>,
    /// Schemas of JSON that comes with other statuses; with those of errors a problem may come as well.
    pub alternatives: Vec<(u16, Value)>,
    /// Statuses of problems besides those that follow from method, path and permission.
    pub problems: Vec<u16>,
    /// Names of the headers of that answer, besides those of every answer.
    pub headers: BTreeSet<&'static str>,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Reads,
    /// Changes a record in the version that `If-Match` names.
    Writes,
    /// Adds a record, and leaves the one that the address names as it is.
    Adds,
    /// Changes what has no version, such as a job.
    WritesUnversioned,
}

impl<'a> Operation<'a> {
    pub fn new(schemas: &'a mut Schemas, effect: Effect) -> Self {
        Self {
            schemas,
            effect,
            parameters: Vec::new(),
            body: None,
            status: 200,
            answer: None,
            files: Vec::new(),
            alternatives: Vec::new(),
            problems: Vec::new(),
            headers: BTreeSet::new(),
        }
    }

    /// Adds an optional parameter of the query. A list of values is written with commas.
    pub fn query(&mut self, name: &str, description: &str, schema: Value) {
        self.parameters.push(parameter(name, description, schema));
    }

    /// The same of one that has to be there.
    pub fn required_query(&mut self, name: &str, description: &str, schema: Value) {
        let mut parameter = parameter(name, description, schema);
        parameter["required"] = true.into();
        self.parameters.push(parameter);
    }

    /// Adds an optional parameter for each member of an object: `name[member]`.
    pub fn members(&mut self, name: &str, description: &str, schema: Value) {
        // Without the example, a form would be filled with all members.
        self.parameters.push(json!({
            "name": name, "in": "query", "description": description, "style": "deepObject", "explode": true,
            "schema": schema, "example": {},
        }));
    }

    /// Gives a schema a name, and returns the reference to it.
    pub fn name(&mut self, name: &str, schema: Value) -> Value {
        self.schemas.name(name, schema);
        named(name)
    }

    /// Adds a header that a client may send.
    pub fn header(&mut self, name: &str, description: &str, schema: Value) {
        self.parameters.push(json!({ "name": name, "in": "header", "description": description, "schema": schema }));
    }

    /// Takes a JSON body.
    pub fn takes<T: JsonSchema>(&mut self) {
        self.body = Some(("application/json", self.schemas.taken::<T>()));
    }

    /// Takes a form whose parts are the members of a schema, one of them a file.
    pub fn takes_form<T: JsonSchema>(&mut self) {
        self.body = Some((FORM, self.schemas.taken::<T>()));
    }

    /// Answers with JSON. A record that shows its version has it as its ETag too.
    pub fn answers<T: JsonSchema>(&mut self) {
        self.answer = Some(("application/json", self.schemas.answered::<T>()));
        if inline::<T>().pointer("/properties/version").is_some() {
            self.headers.insert("ETag");
        }
    }

    /// Answers with JSON of another status than that of success.
    pub fn also_answers<T: JsonSchema>(&mut self, status: u16) {
        self.alternatives.push((status, self.schemas.answered::<T>()));
    }

    /// Answers with a file.
    pub fn answers_file(&mut self, media_type: &'static str) {
        self.answer = Some((media_type, json!({ "type": "string", "format": "binary" })));
    }

    /// Answers with something that is not JSON.
    pub fn answers_text(&mut self, media_type: &'static str) {
        self.answer = Some((media_type, json!({ "type": "string" })));
    }

    /// Answers with a file of one of these media types, to be saved under a name.
    pub fn answers_files(&mut self, media_types: impl IntoIterator<Item = &'static str>) {
        self.files.extend(media_types);
        self.headers.insert("Content-Disposition");
    }

    /// Adds the parameters of a list that has only one order.
    pub fn pages(&mut self) {
        self.query("limit", "Records of a page.", named(PAGE_SIZE));
        self.query("cursor", "`nextCursor` of the page before.", json!({ "type": "string" }));
    }

    /// Reads what earlier writes have written, if the client names one of them.
    pub fn reads_writes(&mut self) {
        self.query("syncToken", "The same as the header `X-Sync-Token`.", sync_token());
        self.parameters.push(json!({ "$ref": "#/components/parameters/SyncToken" }));
    }
}

fn parameter(name: &str, description: &str, schema: Value) -> Value {
    let mut parameter = json!({ "name": name, "in": "query", "description": description, "schema": schema });
    if parameter["schema"]["type"] == "array" {
        parameter["style"] = "form".into();
        parameter["explode"] = false.into();
    }
    parameter
}

/// Schema of a sync token: an LSN.
#[must_use]
pub fn sync_token() -> Value {
    json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$", "examples": ["0/16B3748"] })
}
