//! Where events come from: the announcements of the feed, what changes too often to be told each time, and the clock.

mod newest;
mod notifications;
mod records;
mod users;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::event::{Event, EventId};
use super::hub::{self, Hub};
use super::topic::{Topic, TopicKind};
use crate::app::App;
use crate::error::Result;
use crate::feed::{Announcement, Entry};
use crate::values::personal::Disclosure;
use newest::Newest;

/// Events that are handed over at once, and their bytes: a part of what may wait for a client, so that one that reads is not closed as
/// too slow.
const AT_ONCE: usize = 32;
const BYTES_AT_ONCE: usize = 64 * 1024;

/// The time that clients have to read them before the next ones.
const BREATH: Duration = Duration::from_millis(10);

/// Records of a collection in one entry, beyond which those who listen to all of it get a `reset`: to load it again is less work for
/// them than to follow.
const MOST_TOLD: usize = 500;

/// Places of an announcement within its entry: one change may be several events.
const PLACES: usize = 4;

/// Postgres may be away. The place in the feed is kept meanwhile, and a gap is noticed there.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How often events are sent of which only the newest counts, and the metrics.
const NEWEST_INTERVAL: Duration = Duration::from_secs(1);
const METRICS_INTERVAL: Duration = Duration::from_secs(5);

/// Turns announcements into events and hands them to the hub, until stopped.
pub(super) async fn run(hub: &Hub, stop: &CancellationToken) {
    stop.run_until_cancelled(follow(hub)).await;
}

async fn follow(hub: &Hub) {
    let feed = &hub.app.feed;
    let (mut newest, mut subscription) = (Newest::default(), feed.subscribe());
    let [mut tell_newest, mut tell_metrics] = [NEWEST_INTERVAL, METRICS_INTERVAL].map(|period| {
        let mut interval = interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    });
    loop {
        tokio::select! {
            entry = subscription.next() => match entry {
                Ok(entry) => {
                    newest.note(&entry.announcements);
                    tell(hub, &entry).await;
                }
                Err(_) => {
                    subscription = feed.subscribe();
                    hub.reset(feed.epoch().map(|epoch| EventId::end(epoch, feed.reached())));
                }
            },
            _ = tell_newest.tick() => newest.tell(hub).await,
            _ = tell_metrics.tick() => newest::tell_metrics(hub),
        }
    }
}

async fn tell(hub: &Hub, entry: &Entry) {
    let interest = hub.interest();
    let events = loop {
        match events(&hub.app, entry, &interest).await {
            Ok(events) => break events,
            Err(error) => tracing::warn!(%error, "cannot read what has changed; sockets wait"),
        }
        sleep(RETRY_PAUSE).await;
    };
    let mut left = &events[..];
    while !left.is_empty() {
        let (part, rest) = left.split_at(at_once(left));
        hub.hand_over(part);
        left = rest;
        if !left.is_empty() {
            sleep(BREATH).await;
        }
    }
    hub.reach(EventId::end(entry.epoch, entry.lsn));
}

/// How many of the events are handed over at once, at least one.
fn at_once(events: &[Arc<Event>]) -> usize {
    let mut bytes = 0;
    let fits = |event: &&Arc<Event>| {
        bytes += event.data(Disclosure::Full).len();
        bytes <= BYTES_AT_ONCE
    };
    events.iter().take(AT_ONCE).take_while(fits).count().max(1)
}

/// Reads what an entry announces, as far as it is of interest, in one snapshot. The events are in their order.
pub(super) async fn events(app: &App, entry: &Entry, interest: &BTreeSet<TopicKind>) -> Result<Vec<Arc<Event>>> {
    let crowded = crowded(entry);
    let mut interest = interest.clone();
    let id = |place: usize| {
        let place = u32::try_from(place * PLACES).unwrap_or(u32::MAX - 1);
        EventId { epoch: entry.epoch, lsn: entry.lsn, place }
    };
    let left_out = crowded.iter().filter(|topic| interest.remove(&topic.kind()));
    let mut events: Vec<Event> = left_out.map(|topic| hub::reset(Some(id(0)), vec![*topic])).collect();
    let concerns = |one: &Announcement| {
        records::concerns(one, &interest) || users::concerns(one, &interest) || notifications::concerns(one, &interest)
    };
    let announced: Vec<(EventId, &Announcement)> = entry
        .announcements
        .iter()
        .enumerate()
        .filter(|(_, one)| concerns(one))
        .map(|(place, one)| (id(place + 1), one))
        .collect();
    if !announced.is_empty() {
        let mut connection = app.db.server.acquire().await?;
        let mut snapshot = connection.begin_with("begin isolation level repeatable read, read only").await?;
        let mut told = records::events(app, &mut snapshot, &announced).await?;
        told.extend(users::events(&mut snapshot, &announced).await?);
        told.extend(notifications::events(&mut snapshot, &announced).await?);
        snapshot.rollback().await?;
        for event in &mut told {
            event.topics.retain(|topic| !crowded.contains(topic));
        }
        events.extend(told);
    }
    events.sort_by_key(|event| event.id);
    Ok(events.into_iter().map(Arc::new).collect())
}

/// The announced rows: their ids, and the first and the last version of each that are announced together.
fn versions(announced: &[&(EventId, &Announcement)]) -> (Vec<Uuid>, Vec<Option<i64>>, Vec<Option<i64>>) {
    let ids = announced.iter().map(|(_, one)| one.id).collect();
    let first_versions = announced.iter().map(|(_, one)| one.first_version).collect();
    (ids, first_versions, announced.iter().map(|(_, one)| one.version).collect())
}

/// The topics of whole collections with more changes than are sent one by one.
fn crowded(entry: &Entry) -> Vec<Topic> {
    let changes = |collection| entry.announcements.iter().filter(|one| one.collection == collection).count();
    records::TOPICS.into_iter().filter(|(collection, _)| changes(*collection) > MOST_TOLD).map(|(_, topic)| topic).collect()
}
