//! A listener: one open socket or stream of a caller, with what it listens to and what waits to be sent to it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::event::{Event, EventId};
use super::topic::Topic;
use crate::auth::Caller;
use crate::metrics;
use crate::values::personal::Disclosure;

/// What may wait for a client that reads slowly. It is closed beyond, and comes back to where it was.
const MOST_WAITING: usize = 64;
const MOST_BYTES_WAITING: usize = 256 * 1024;

/// Why the server ends a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client does not read as fast as events come.
    Slow,
    /// Its token, session or key has ended, or its user is disabled.
    Unauthenticated,
    /// It may read nothing any more.
    Forbidden,
    /// The client sends more messages than it may.
    Flooding,
    /// The server stops.
    Stopping,
}

impl End {
    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Flooding => "flooding",
            Self::Stopping => "stopping",
        }
    }

    /// The close code of a WebSocket (RFC 6455, 7.4), and the reason.
    #[must_use]
    pub fn code(self) -> (u16, &'static str) {
        match self {
            Self::Slow => (1013, "too slow: come back and resume"),
            Self::Unauthenticated => (4401, "unauthenticated"),
            Self::Forbidden => (4403, "forbidden"),
            Self::Flooding => (1008, "at most 100 messages in a minute"),
            Self::Stopping => (1001, "the server stops: come back and resume"),
        }
    }
}

/// What a listener is to be sent.
#[derive(Clone, Debug)]
pub enum Item {
    Event(Arc<Event>),
    /// The caller may no longer listen to these.
    Left(Vec<Topic>),
}

/// One open socket or stream.
pub struct Listener {
    pub(super) number: u64,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    caller: Caller,
    topics: BTreeSet<Topic>,
    waiting: VecDeque<Item>,
    bytes: usize,
    /// Events up to here were heard elsewhere.
    heard: Option<EventId>,
    end: Option<End>,
}

impl Listener {
    pub(super) fn new(number: u64, caller: Caller) -> Self {
        let topics = BTreeSet::from([Topic::User(caller.id)]);
        let state = State { caller, topics, waiting: VecDeque::new(), bytes: 0, heard: None, end: None };
        Self { number, state: Mutex::new(state), changed: Notify::new() }
    }

    #[must_use]
    pub fn caller(&self) -> Caller {
        self.state.lock().caller.clone()
    }

    /// How much of personal data the caller may see now.
    #[must_use]
    pub fn disclosure(&self) -> Disclosure {
        self.state.lock().caller.disclosure()
    }

    #[must_use]
    pub fn topics(&self) -> Vec<Topic> {
        self.state.lock().topics.iter().copied().collect()
    }

    /// Waits for the next item, in order. What waits is not sent to a listener that has ended.
    pub async fn next(&self) -> Result<Item, End> {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.changed.notified().await;
        }
    }

    /// Waits until the listener has ended, also while an item is being sent.
    pub async fn ended(&self) -> End {
        loop {
            if let Some(end) = self.state.lock().end {
                return end;
            }
            self.changed.notified().await;
        }
    }

    fn take(&self) -> Option<Result<Item, End>> {
        let mut state = self.state.lock();
        if let Some(end) = state.end {
            return Some(Err(end));
        }
        let item = state.waiting.pop_front()?;
        state.bytes -= state.size(&item);
        Some(Ok(item))
    }

    /// Ends it; the first reason counts.
    pub(super) fn end(&self, end: End) {
        let mut state = self.state.lock();
        if state.end.is_none() {
            metrics::SOCKETS_ENDED.with_label_values(&[end.name()]).inc();
        }
        state.end.get_or_insert(end);
        state.waiting.clear();
        state.bytes = 0;
        drop(state);
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// Puts an event behind what waits, or ends the listener if that is too much.
    pub(super) fn push(&self, event: &Arc<Event>) {
        let mut state = self.state.lock();
        if state.end.is_some() || event.id.is_some_and(|id| state.heard.is_some_and(|heard| id <= heard)) {
            return;
        }
        let item = Item::Event(Arc::clone(event));
        state.bytes += state.size(&item);
        state.waiting.push_back(item);
        // One event may be larger than what may wait.
        let is_slow = state.waiting.len() > MOST_WAITING || (state.bytes > MOST_BYTES_WAITING && state.waiting.len() > 1);
        drop(state);
        if is_slow {
            return self.end(End::Slow);
        }
        self.changed.notify_one();
    }

    /// Adds a topic; returns false if there are as many as a listener may have.
    pub(super) fn join(&self, topic: Topic, most: usize) -> bool {
        let mut state = self.state.lock();
        let has_room = state.topics.len() < most || state.topics.contains(&topic);
        if has_room {
            state.topics.insert(topic);
        }
        has_room
    }

    /// Removes a topic; that of its own user stays.
    pub(super) fn leave(&self, topic: Topic) -> bool {
        let mut state = self.state.lock();
        topic != Topic::User(state.caller.id) && state.topics.remove(&topic)
    }

    /// Takes what the caller may do now, and tells the client which topics it has lost.
    pub(super) fn renew(&self, caller: Caller, lost: Vec<Topic>) {
        let mut state = self.state.lock();
        state.caller = caller;
        // With another disclosure the events have other sizes.
        state.bytes = state.waiting.iter().map(|item| state.size(item)).sum();
        if !lost.is_empty() {
            state.waiting.push_back(Item::Left(lost));
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Forgets what waits, and what comes later but was heard.
    pub(super) fn rewind(&self, heard: Option<EventId>) {
        let mut state = self.state.lock();
        state.heard = heard;
        state.waiting.clear();
        state.bytes = 0;
    }
}

impl State {
    fn size(&self, item: &Item) -> usize {
        match item {
            Item::Event(event) => event.data(self.caller.disclosure()).len(),
            Item::Left(_) => 0,
        }
    }
}
