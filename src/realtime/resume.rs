//! What a client has missed: it names the last event that it has got, and gets all that came after.
//!
//! Events are not kept. They are made again from the announcements of the feed, on whatever server the client comes back to, and show
//! the records as they are now.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{Event, EventId};
use super::hub::{self, Listening};
use super::source;
use super::topic::Topic;
use crate::app::App;
use crate::error::{Error, Result};
use crate::feed::Gone;
use crate::values::lsn::Lsn;

/// Events that are sent again. A client that has missed more loads everything again.
const MOST: usize = 1_000;

/// What a client gets that comes back.
pub(super) enum Missed {
    Events(Vec<Arc<Event>>),
    /// Too much, or nothing that the feed still knows: it is to load everything again.
    Reset(Arc<Event>),
}

/// Says that a client has named no event.
pub(super) fn bad_id() -> Error {
    Error::malformed("bad_event_id", "this is the id of no event")
}

/// Reads what a listener has missed of its topics since an event. What waits for it comes again in this.
pub(super) async fn since(app: &App, listening: &Listening, last: EventId) -> Result<Missed> {
    let (reached, topics) = (listening.rewind(last), listening.listener.topics());
    let reset = || Missed::Reset(Arc::new(hub::reset(reached, topics.clone())));
    let Some(upto) = reached.filter(|reached| reached.epoch == last.epoch) else { return Ok(reset()) };
    match replay(app, last, upto, &topics).await? {
        Ok(events) if events.len() <= MOST => Ok(Missed::Events(events)),
        _ => Ok(reset()),
    }
}

async fn replay(app: &App, last: EventId, upto: EventId, topics: &[Topic]) -> Result<Result<Vec<Arc<Event>>, Gone>> {
    let interest: BTreeSet<_> = topics.iter().map(|topic| topic.kind()).collect();
    // From the entry of the last event on, which may have more of them.
    let mut after = Lsn(last.lsn.0.saturating_sub(1));
    let Ok(mut subscription) = app.feed.resume(last.epoch, after) else { return Ok(Err(Gone)) };
    let mut missed = Vec::new();
    // The hub was there, so the feed has entries up to there.
    while after < upto.lsn && missed.len() <= MOST {
        let Ok(entry) = subscription.next().await else { return Ok(Err(Gone)) };
        after = entry.lsn;
        let is_missed = |event: &Arc<Event>| {
            event.id.is_some_and(|id| last < id && id <= upto) && event.topics.iter().any(|topic| topics.contains(topic))
        };
        missed.extend(source::events(app, &entry, &interest).await?.into_iter().filter(is_missed));
    }
    Ok(Ok(missed))
}
