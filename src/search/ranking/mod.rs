//! The passes of a search: strictly, then with typing errors if that finds little, and the best of those ranked by the whole phrase.
//!
//! The order of a loosely matched list is the engine's, but for its first [`WINDOW`] hits, which are ranked here. Pages are cut out of
//! that order, so no page repeats or leaves out a hit, and a cursor keeps what the order depends on.

mod score;

use super::document;
use super::phrase::{Phrase, Rarity};
use super::query::{Count, Hits, Loose, Matching, Page, Query, SortKey, SortPosition};

/// Hits that are ranked: enough that the right one is among them, few enough to read them all.
const WINDOW: u64 = 50;
/// Hits that are too few to be content with, if none is what was typed.
pub(super) const FEW: u64 = 10;

/// An engine as the passes use it.
pub(super) trait Finder {
    type Error;

    /// Answers one page. Of a phrase it counts as far as [`FEW`] even if no total is asked for.
    async fn find(&mut self, query: &Query, matching: &Matching) -> Result<Hits, Self::Error>;

    /// How rare each word of a phrase is.
    async fn rarities(&mut self, phrase: &Phrase) -> Result<Vec<Rarity>, Self::Error>;
}

/// Answers a page with as many passes as it takes.
pub(super) async fn search<F: Finder>(finder: &mut F, query: &Query) -> Result<Hits, F::Error> {
    let Some(phrase) = &query.phrase else { return finder.find(query, &Matching::Strict).await };
    let hits = find(finder, query, phrase).await?;
    Ok(Hits { total: hits.total.filter(|_| query.count != Count::None), ..hits })
}

async fn find<F: Finder>(finder: &mut F, query: &Query, phrase: &Phrase) -> Result<Hits, F::Error> {
    if let Page::After(position) = &query.page {
        return match &position.loose {
            None => finder.find(query, &Matching::Strict).await,
            Some(loose) => find_loosely(finder, query, phrase, loose).await,
        };
    }
    let strict = finder.find(query, &Matching::Strict).await?;
    let found = strict.total.map_or(0, |total| total.value);
    let least = if found == 0 {
        1
    } else if found < FEW && phrase.is_words() && is_ranked(query) && !is_whole_first(finder, query, phrase, &strict).await? {
        // What matches as it was typed is worth more than guesses at single words.
        phrase.words.len()
    } else {
        return Ok(strict);
    };
    let loose = Loose { rarities: finder.rarities(phrase).await?, least, shown: 0 };
    find_loosely(finder, query, phrase, &loose).await
}

/// Whether the first hit of a strict answer is what was typed, as a whole; it decides for all pages.
async fn is_whole_first<F: Finder>(finder: &mut F, query: &Query, phrase: &Phrase, strict: &Hits) -> Result<bool, F::Error> {
    if query.offset() == 0 {
        return Ok(strict.documents.first().is_some_and(|document| score::is_whole(phrase, document)));
    }
    let first = Query { page: Page::Number(1), limit: 1, ..query.clone() };
    let first = finder.find(&first, &Matching::Strict).await?;
    Ok(first.documents.first().is_some_and(|document| score::is_whole(phrase, document)))
}

fn is_ranked(query: &Query) -> bool {
    matches!(query.sort.first(), Some(sort) if matches!(sort.key, SortKey::Score) && sort.descending)
}

async fn find_loosely<F: Finder>(finder: &mut F, query: &Query, phrase: &Phrase, loose: &Loose) -> Result<Hits, F::Error> {
    let matching = Matching::Loose(loose.clone());
    let start = match &query.page {
        Page::Number(_) => query.offset(),
        Page::After(_) => loose.shown,
    };
    let is_behind = matches!(query.page, Page::After(_)) && start == 0;
    if !is_ranked(query) || is_behind || start >= WINDOW {
        return finder.find(query, &matching).await;
    }
    let end = start + u64::from(query.limit);
    let limit = u32::try_from(end.max(WINDOW)).unwrap_or(u32::MAX);
    let window = Query { page: Page::Number(1), limit, ..query.clone() };
    let mut hits = finder.find(&window, &matching).await?;
    let rest = hits.documents.split_off(hits.documents.len().min(WINDOW as usize));
    let mut ranked: Vec<(f64, _)> =
        hits.documents.into_iter().map(|document| (score::score(phrase, &loose.rarities, &document), document)).collect();
    // Stable: equals stay in the engine's order.
    ranked.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    hits.documents = ranked.into_iter().map(|(_, document)| document).chain(rest).collect();
    if end < WINDOW && hits.documents.len() as u64 > end {
        let last = &hits.documents[end as usize - 1];
        let id = document::member(last, "id").unwrap_or_default();
        hits.next = Some(SortPosition { keys: Vec::new(), id, loose: Some(Loose { shown: end, ..loose.clone() }) });
    }
    hits.documents.truncate(end as usize);
    hits.documents.drain(..hits.documents.len().min(start as usize));
    Ok(hits)
}
