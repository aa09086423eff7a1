//! Reads by what a list is sorted: `-balance`, `dueDate:nullsFirst`, `score`.

use super::names::did_you_mean;
use super::past_due::PastDueField;
use super::{MAX_SORT_KEYS, ParameterError, Parser, bad, check_disclosed};
use crate::search::query::{Missing, Sort, SortKey};
use crate::search::{Collection, PastDue};

impl Parser<'_> {
    /// Reads one key; returns its normal form too.
    pub(super) fn sort_key(&self, text: &str) -> Result<(String, Sort), ParameterError> {
        let text = text.trim();
        let (text, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        let (name, missing) = match text.trim_start_matches('+').trim().split_once(':') {
            None => (text.trim_start_matches('+').trim(), None),
            Some((name, "nullsFirst")) => (name, Some(Missing::First)),
            Some((name, "nullsLast")) => (name, Some(Missing::Last)),
            Some(_) => return Err(bad("takes nullsFirst or nullsLast behind the colon")),
        };
        let sort = self.sort_of(name, descending, missing)?;
        if missing.is_some() && !matches!(sort.key, SortKey::Field(_)) {
            return Err(bad(format!("{name} is never missing")));
        }
        let end = if missing == Some(Missing::First) { ":nullsFirst" } else { "" };
        Ok((format!("{}{name}{end}", if descending { "-" } else { "" }), sort))
    }

    fn sort_of(&self, name: &str, descending: bool, missing: Option<Missing>) -> Result<Sort, ParameterError> {
        let missing = missing.unwrap_or(Missing::Last);
        if matches!(name, "score" | "_score" | "relevance") {
            return Ok(Sort { key: SortKey::Score, descending: true, missing });
        }
        if let Some(field) = PastDueField::find(self.collection, name) {
            return Ok(field.sort(self.as_of(), descending));
        }
        let mut sortable = self.collection.fields.iter().filter(|field| field.sortable);
        let found = sortable.find(|field| field.name == name).ok_or_else(|| {
            ("unknown_field", format!("lists are not sorted by this{}", did_you_mean(name, names(self.collection))))
        });
        let field = found?;
        check_disclosed(field, self.rules.disclosure)?;
        Ok(Sort { key: SortKey::Field(field), descending, missing })
    }

    /// Puts what is said in two parameters together, and adds what is not said.
    pub(super) fn finish_order(&mut self) {
        if let Some(by) = self.sort_by.take().filter(|_| self.sort.is_empty()) {
            let by = if self.descending == Some(true) { format!("-{}", by.trim_start_matches('-')) } else { by };
            // It was read before.
            self.sort.extend(self.sort_key(&by));
        }
        if self.sort.len() > MAX_SORT_KEYS {
            self.violations.add("sort", "too_many_sort_keys", format!("a list is sorted by at most {MAX_SORT_KEYS} keys"));
        }
        // Without a phrase everything matches alike.
        if self.phrase.is_none() {
            self.sort.retain(|(_, sort)| !matches!(sort.key, SortKey::Score));
        }
        let computed = self.sort.iter().filter(|(_, sort)| !matches!(sort.key, SortKey::Field(_)));
        if computed.count() > 1 {
            let names = PastDue::FIELDS.join(", ");
            self.violations.add("sort", "contradiction", format!("a list is sorted by one of score, {names}"));
        }
        if self.sort.is_empty() {
            let default = if self.phrase.is_some() { "score" } else { "-createdAt" };
            self.sort.extend(self.sort_key(default));
        }
    }
}

/// What lists of a collection are sorted by.
pub(super) fn names(collection: &'static Collection) -> impl Iterator<Item = &'static str> {
    let sortable = collection.fields.iter().filter(|field| field.sortable).map(|field| field.name);
    sortable.chain(collection.past_due.iter().flat_map(|_| PastDue::FIELDS)).chain(["score"])
}
