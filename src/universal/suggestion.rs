//! Did you mean: the text without its typing errors.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::ask::{self, Answered};
use super::wanted::{Group, Wanted};
use crate::api::Request;
use crate::search::explain::nearest;
use crate::search::query::{Count, Query};
use crate::values::text;

/// Records of each collection that are compared, if nothing is found.
const CANDIDATES: u32 = 20;
/// The part of a request's time that looking for them takes at most: the search itself has had half of it.
const SHARE_OF_REQUEST: u32 = 4;

/// What is meant by a word, folded.
type Corrections = BTreeMap<String, String>;

/// Returns what to search for instead, if it differs from what was typed.
///
/// If a word is found, those are the words of the best hit. If none is, they are the nearest of the records that the caller may
/// find by the beginnings of the words.
pub(super) async fn of(request: &Request, wanted: &Wanted, groups: &[Answered<'_>]) -> Option<String> {
    // An engine may find what resembles the text as a whole, and no word of it.
    let found = groups.iter().find_map(Answered::first).filter(|best| best.words > 0);
    let corrections = match found {
        Some(best) => best.corrections.iter().cloned().collect(),
        None => of_nearest(request, wanted).await,
    };
    let correct = |piece| corrections.get(&text::fold(piece)).map_or(piece, String::as_str);
    let meant = wanted.typed.split_whitespace().map(correct).collect::<Vec<_>>().join(" ");
    (!corrections.is_empty() && meant != wanted.typed).then_some(meant)
}

async fn of_nearest(request: &Request, wanted: &Wanted) -> Corrections {
    let mut nearest: BTreeMap<String, (f64, String)> = BTreeMap::new();
    for word in join_all(wanted.groups.iter().map(|group| nearest_of(request, group))).await.into_iter().flatten() {
        let known = nearest.entry(word.typed).or_default();
        if word.similarity > known.0 {
            *known = (word.similarity, word.meant);
        }
    }
    // What a record has as it was typed needs no correction.
    let differing = nearest.into_iter().filter(|(_, (similarity, _))| *similarity < 1.0);
    differing.map(|(typed, (_, meant))| (typed, meant)).collect()
}

/// The nearest words of one collection; none if it fails, since a suggestion is no part of the answer that a client may count on.
async fn nearest_of(request: &Request, Group { collection, query, .. }: &Group) -> Vec<nearest::Nearest> {
    let Some(phrase) = &query.phrase else { return Vec::new() };
    let Some(beginnings) = phrase.beginnings() else { return Vec::new() };
    let query = Query { phrase: Some(beginnings), limit: CANDIDATES, count: Count::None, ..query.clone() };
    let Ok(answer) = ask::find(request, collection, &query, SHARE_OF_REQUEST).await else { return Vec::new() };
    let documents = answer.hits.documents.iter();
    documents.filter_map(|document| nearest::nearest(phrase, collection.fields, document).ok()).flatten().collect()
}
