//! What requests say of saved searches, for the API's documentation.

use schemars::JsonSchema;
use serde_json::json;

use super::saved_search::{MOST_COLUMNS, QUERY_LIMIT, Visibility};
use crate::operation::{Effect, Operation, Takes};

/// The parameters of the list.
pub(super) struct Listing;

impl Takes for Listing {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
        operation.query("collection", "Of which collection.", json!({ "type": "string" }));
        Counting::describe(operation);
    }
}

/// The parameters of one.
pub(super) struct Counting;

impl Takes for Counting {
    fn describe(operation: &mut Operation<'_>) {
        operation.query("count", "Whether to count their hits now.", json!({ "type": "boolean", "default": false }));
    }
}

/// A new saved search.
pub(super) struct NewSearch;

impl Takes for NewSearch {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Adds;
        operation.takes::<New>();
    }
}

#[derive(JsonSchema)]
#[schemars(rename = "NewSavedSearch", rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("examples" = [{ "name": "Open in euros", "collection": "accounts", "query": "status=open&currency=EUR" }]))]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
struct New {
    #[schemars(length(min = 1, max = 100))]
    name: String,
    #[schemars(length(min = 1, max = 100))]
    collection: String,
    /// Parameters of the list as its URL has them.
    #[schemars(length(max = QUERY_LIMIT))]
    query: Option<String>,
    /// As the parameter `sort`.
    #[schemars(length(min = 1, max = 400))]
    sort: Option<String>,
    /// Names of fields.
    #[schemars(length(max = MOST_COLUMNS))]
    columns: Option<Vec<String>>,
    visibility: Option<Visibility>,
    /// One for each owner and collection.
    is_default: Option<bool>,
    is_pinned: Option<bool>,
}

/// Changes of a saved search. What the server sets can be repeated.
#[derive(JsonSchema)]
#[schemars(rename = "SavedSearchChanges", rename_all = "camelCase", extend("additionalProperties" = true))]
#[expect(dead_code, reason = "it is a schema; the members are taken out of the request one by one")]
pub(super) struct Changes {
    #[schemars(length(min = 1, max = 100), default)]
    name: String,
    /// Parameters of the list as its URL has them.
    #[schemars(length(max = QUERY_LIMIT))]
    query: Option<String>,
    /// As the parameter `sort`.
    #[schemars(length(min = 1, max = 400))]
    sort: Option<String>,
    /// Names of fields.
    #[schemars(length(max = MOST_COLUMNS))]
    columns: Option<Vec<String>>,
    visibility: Option<Visibility>,
    /// One for each owner and collection.
    is_default: Option<bool>,
    is_pinned: Option<bool>,
}
