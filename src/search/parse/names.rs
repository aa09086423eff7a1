//! Names of parameters, and which known name was meant by an unknown one.

use crate::error::clipped;

/// Parameters of every list that are no fields.
pub(super) const PARAMETERS: &[&str] = &[
    "q",
    "search",
    "filter",
    "sort",
    "sortBy",
    "sortOrder",
    "page",
    "limit",
    "pageSize",
    "per_page",
    "cursor",
    "count",
    "view",
    "from",
    "startDate",
    "to",
    "endDate",
    "tz",
    "facets",
    "facetSize",
    "aggs",
    "fields",
    "include",
    "highlight",
    "includeDeleted",
    "syncToken",
];
/// The same without second names, as errors tell them.
pub(super) const COMMON: &str = "q, filter, sort, page, limit, cursor, count, view, from, to, tz, facets, facetSize, aggs, fields, include, highlight, includeDeleted, syncToken";

/// Says which name was meant, as the end of a sentence; empty if none is near.
pub(super) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// Finds the known name that differs in the fewest letters, at most every third; case and `_` do not count.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = letters(&clipped(name));
    let distance = |known: &&str| strsim::osa_distance(&name, &letters(known));
    let nearest = known.into_iter().min_by_key(distance)?;
    (distance(&nearest) <= name.chars().count() / 3).then_some(nearest)
}

fn letters(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_with_the_fewest_other_letters_is_meant() {
        let known = ["dueDate", "createdAt", "balance", "status", "tags"];
        for (name, expected) in [
            ("duedate", Some("dueDate")),
            ("due_date", Some("dueDate")),
            ("deuDate", Some("dueDate")),
            ("statsu", Some("status")),
            ("balances", Some("balance")),
            ("tag", Some("tags")),
            ("colour", None),
            ("", None),
            ("é", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
