//! A saved search, what requests can change of it, and whether its list still takes it.

use chrono::{DateTime, Utc};
use form_urlencoded::Serializer;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::api::{FieldValue, Request, fields, paging};
use crate::auth::{Caller, Permission};
use crate::collections;
use crate::error::{Result, Violations};
use crate::search::parse::flag;
use crate::search::{Field, FieldKind};
use crate::values::clock::milliseconds;
use crate::values::ids::{SavedSearchId, UserId};
use crate::values::json::Object;
use crate::words;

words! {
    /// Who sees a saved search besides its owner.
    pub enum Visibility, VISIBILITIES {
        Private = "private",
        // Users have no teams: it is for those with the owner's role.
        Team = "team",
        Global = "global",
    }
    aliases {}
}

/// Characters of a query: a URL of 8 KiB, which every proxy passes, has room for it percent-encoded.
pub(super) const QUERY_LIMIT: usize = 4_000;
/// More than a table on a screen has.
pub(super) const MOST_COLUMNS: usize = 50;

const NAME: Field = Field::shown("name", FieldKind::Text).length(1, 100);
const COLLECTION: Field = Field::shown("collection", FieldKind::Text).length(1, 100);
const SORT: Field = Field::shown("sort", FieldKind::Text).length(1, 400);
const VISIBILITY: Field = Field::shown("visibility", FieldKind::Keyword(&VISIBILITIES)).writable();

/// Parameters that say how a list is read, and not which list it is.
const UNSAVED: [&str; 13] = [
    "page",
    "limit",
    "pageSize",
    "per_page",
    "cursor",
    "view",
    "count",
    "facets",
    "facetSize",
    "aggs",
    "fields",
    "include",
    "syncToken",
];
/// Parameters that the member `sort` stands for.
const ORDER: [&str; 3] = ["sort", "sortBy", "sortOrder"];

/// A list under a name.
#[derive(Clone, Debug, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SavedSearch {
    pub(super) id: Uuid,
    pub(super) version: i64,
    pub(super) name: String,
    pub(super) collection: String,
    /// Parameters of the list as its URL has them, sorted by name.
    pub(super) query: String,
    /// As the parameter `sort`; none for the list's own order.
    pub(super) sort: Option<String>,
    /// Names of fields; none for the client's own choice.
    pub(super) columns: Vec<String>,
    pub(super) visibility: Visibility,
    /// One for each owner and collection.
    pub(super) is_default: bool,
    pub(super) is_pinned: bool,
    pub(super) owner_id: Uuid,
    pub(super) owner_name: String,
    #[serde(skip)]
    pub(super) owner_role: String,
    #[serde(serialize_with = "milliseconds")]
    pub(super) created_at: DateTime<Utc>,
    #[serde(serialize_with = "milliseconds")]
    pub(super) updated_at: DateTime<Utc>,
}

impl SavedSearch {
    /// Reads a new one.
    pub(super) fn read_new(mut body: Object, owner: UserId, violations: &mut Violations) -> Self {
        let mut search = Self { id: SavedSearchId::new().0, owner_id: owner.0, ..Self::default() };
        for name in [NAME.name, COLLECTION.name] {
            if !body.contains_key(name) {
                violations.add(format!("/{name}"), "required", "is missing");
            }
        }
        if let Some(collection) = body.remove(COLLECTION.name) {
            search.collection.set(collection, &COLLECTION, violations);
        }
        search.apply(&mut body, violations);
        fields::refuse_unknown(&body, violations);
        search
    }

    /// Applies the members of a request that can change, and takes them out of it.
    pub(super) fn apply(&mut self, body: &mut Object, violations: &mut Violations) {
        let members: [(_, &mut dyn FieldValue); 3] =
            [(NAME, &mut self.name), (SORT, &mut self.sort), (VISIBILITY, &mut self.visibility)];
        for (field, member) in members {
            if let Some(value) = body.remove(field.name) {
                member.set(value, &field, violations);
            }
        }
        let query = fields::take::<String>(body, "query", violations);
        if query.is_present() {
            self.query = canonical(&query.value().unwrap_or_default());
            violations.length("/query", Some(&self.query), 0, QUERY_LIMIT);
        }
        let columns = fields::take::<Vec<String>>(body, "columns", violations);
        if columns.is_present() {
            self.columns = columns.value().unwrap_or_default();
            if violations.are_too_many("/columns", self.columns.len(), MOST_COLUMNS) {
                self.columns.clear();
            }
        }
        for (name, member) in [("isDefault", &mut self.is_default), ("isPinned", &mut self.is_pinned)] {
            let change = fields::take::<bool>(body, name, violations);
            if change.is_present() {
                *member = change.value().unwrap_or_default();
            }
        }
    }

    /// Whether both are the same list with the same columns.
    pub(super) fn has_list_of(&self, other: &Self) -> bool {
        (&self.collection, &self.query, &self.sort, &self.columns)
            == (&other.collection, &other.query, &other.sort, &other.columns)
    }

    /// Whether a caller may know of it.
    pub(super) fn is_visible_to(&self, caller: &Caller) -> bool {
        match self.visibility {
            _ if self.owner_id == caller.id.0 => true,
            Visibility::Private => false,
            Visibility::Team => self.owner_role == caller.role.as_str(),
            Visibility::Global => true,
        }
    }

    /// Refuses to change it for a caller who sees it and is neither its owner nor an administrator.
    pub(super) fn check_change_by(&self, caller: &Caller) -> Result<()> {
        if self.owner_id == caller.id.0 { Ok(()) } else { caller.require(Permission::Administer) }
    }

    /// Says what keeps a caller from reading the list: what the table of fields no longer has, and what the caller may not see.
    pub(super) fn problems(&self, caller: &Caller, request: &Request) -> Violations {
        let mut problems = Violations::default();
        let Some(collection) = collections::find(&self.collection).filter(|one| one.is_listed()) else {
            let known = collections::ALL.map(|collection| collection.name).join(", ");
            problems.add("/collection", "unknown_value", format!("takes one of {known}"));
            return problems;
        };
        for (name, value) in form_urlencoded::parse(self.query.as_bytes()) {
            if UNSAVED.contains(&&*name) {
                problems.add(&*name, "not_saved", "says how a list is read and is no part of a search");
            } else if ORDER.contains(&&*name) {
                problems.add(&*name, "not_saved", "is the member `sort`");
            } else if name == "includeDeleted" && flag(&value) == Ok(true) && !caller.has(Permission::Manage) {
                problems.add(&*name, "forbidden", "needs the permission manage");
            }
        }
        for (at, column) in self.columns.iter().enumerate() {
            if !collection.members().any(|name| name == column) {
                problems.add(format!("/columns/{at}"), "unknown_field", "is no field of this collection");
            }
        }
        if let Err(error) = paging::check(request, collection, self.parameters()) {
            problems.join(error);
        }
        problems
    }

    /// The parameters of its list.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let query = form_urlencoded::parse(self.query.as_bytes()).into_owned();
        query.chain(self.sort.iter().map(|sort| ("sort".to_owned(), sort.clone()))).collect()
    }

    /// The address of its list.
    pub(super) fn url(&self) -> String {
        let parameters = Serializer::new(String::new()).extend_pairs(self.parameters()).finish();
        let mark = if parameters.is_empty() { "" } else { "?" };
        format!("/api/v1/{}{mark}{parameters}", self.collection)
    }
}

/// Writes parameters in one order and spelling, so that equal lists have equal addresses.
fn canonical(query: &str) -> String {
    let query = query.trim();
    let mut parameters: Vec<_> = form_urlencoded::parse(query.strip_prefix('?').unwrap_or(query).as_bytes()).collect();
    // A repeated parameter keeps its order.
    parameters.sort_by(|(one, _), (other, _)| one.cmp(other));
    Serializer::new(String::new()).extend_pairs(parameters).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lists_have_equal_queries() {
        let canonical_form = "balance%5Bgte%5D=100&q=ren%C3%A9e+z&status=open&status=paused";
        for query in [
            "status=open&status=paused&q=ren%C3%A9e+z&balance[gte]=100",
            "?balance%5Bgte%5D=100&status=open&q=renée z&status=paused ",
            canonical_form,
        ] {
            assert_eq!(canonical(query), canonical_form, "{query}");
        }
        assert_eq!(canonical("?"), "");
    }
}
