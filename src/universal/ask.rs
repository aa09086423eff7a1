//! Asks the collections, all at once. One that fails is marked, and fails no other.

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::wanted::{Group, Wanted};
use crate::api::{Request, paging};
use crate::error::{Error, Result};
use crate::search::explain::{Explanation, explain};
use crate::search::parse::Shape;
use crate::search::query::{Query, Total};
use crate::search::{Answer, Collection, Reading};

/// The part of a request's time that a group takes at most: what is left is for the answer.
const SHARE_OF_REQUEST: u32 = 2;

pub(super) struct Answered<'a> {
    pub(super) collection: &'static Collection,
    pub(super) shape: &'a Shape,
    pub(super) hits: Result<Hits>,
}

pub(super) struct Hits {
    /// The best first.
    pub(super) documents: Vec<(Bytes, Explanation)>,
    /// Without its documents.
    pub(super) answer: Answer,
}

impl Answered<'_> {
    /// Why its best hit was found; none without hits.
    pub(super) fn first(&self) -> Option<&Explanation> {
        self.hits.as_ref().ok()?.documents.first().map(|(_, explanation)| explanation)
    }

    /// Of its best hit; none without hits.
    fn best(&self, key: impl Fn(&Explanation) -> f64) -> Option<f64> {
        let hits = self.hits.as_ref().ok()?;
        hits.documents.iter().map(|(_, explanation)| key(explanation)).reduce(f64::max)
    }
}

/// Returns the groups, the one with the best hit first.
///
/// # Errors
/// That of the first collection, if all fail.
pub(super) async fn all<'a>(request: &Request, wanted: &'a Wanted) -> Result<Vec<Answered<'a>>> {
    let ask =
        async |group: &'a Group| Answered { collection: group.collection, shape: &group.shape, hits: one(request, group).await };
    let mut groups: Vec<Answered<'a>> = join_all(wanted.groups.iter().map(ask)).await;
    if !groups.is_empty() && groups.iter().all(|group| group.hits.is_err()) {
        return groups.swap_remove(0).hits.map(|_| Vec::new());
    }
    for group in &groups {
        if let Err(error) = &group.hits {
            tracing::warn!(collection = group.collection.name, %error, "a group of a universal search failed");
        }
    }
    drop_poor(&mut groups);
    let score = |group: &Answered<'_>| group.best(|explanation| explanation.score).unwrap_or(-1.0);
    groups.sort_by(|one, other| score(other).total_cmp(&score(one)));
    Ok(groups)
}

async fn one(request: &Request, Group { collection, query, .. }: &Group) -> Result<Hits> {
    let mut answer = find(request, collection, query, SHARE_OF_REQUEST).await?;
    let explained = |document: Bytes| {
        let explanation = match &query.phrase {
            Some(phrase) => explain(phrase, collection.fields, &document).map_err(Error::internal)?,
            None => Explanation::default(),
        };
        Ok((document, explanation))
    };
    let mut documents = std::mem::take(&mut answer.hits.documents).into_iter().map(explained).collect::<Result<Vec<_>>>()?;
    documents.sort_by(|(_, one), (_, other)| other.score.total_cmp(&one.score));
    Ok(Hits { documents, answer })
}

/// Asks one collection, for this part of the request's time.
pub(super) async fn find(request: &Request, collection: &'static Collection, query: &Query, share: u32) -> Result<Answer> {
    let deadline = request.app.config.http.request_timeout / share;
    let asking = paging::ask(request, collection, query, Reading::Live { scored_by: None });
    timeout(deadline, asking).await.map_err(|_| Error::Timeout)?
}

/// Empties the groups that have found less of the phrase than others: when a person's name and number match, payments of others with
/// the same name are noise.
fn drop_poor(groups: &mut [Answered<'_>]) {
    #[expect(clippy::cast_precision_loss, reason = "a phrase has few words")]
    let words = |group: &Answered<'_>| group.best(|explanation| explanation.words as f64);
    let most = groups.iter().filter_map(words).reduce(f64::max);
    for group in groups {
        let is_poor = words(group) < most;
        if let Ok(hits) = &mut group.hits
            && is_poor
        {
            hits.documents.clear();
            let total = &mut hits.answer.hits.total;
            *total = total.map(|_| Total { value: 0, at_least: false });
        }
    }
}
