//! The hub: who listens to what, and the hand-over of events to them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::event::{Event, EventId};
use super::events;
use super::listener::Listener;
use super::topic::{self, Topic, TopicKind};
use crate::app::App;
use crate::auth::{Caller, Permission};
use crate::error::{Error, Result};
use crate::metrics;
use crate::values::ids::UserId;

/// The part of all sockets that one user may have.
const USER_SHARE: usize = 2;

/// The part of all sockets that may wait for their token.
const STRANGERS_SHARE: usize = 20;

/// Sockets that are closed in a millisecond when the server stops, so that their clients do not all come back at once.
const CLOSED_IN_A_MILLISECOND: u64 = 2;
/// The longest that takes.
const LONGEST_GOODBYE: Duration = Duration::from_secs(5);

/// The listeners of a process.
pub struct Hub {
    pub(super) app: App,
    listeners: Mutex<Listeners>,
    /// Sockets, which live longer than the request that opened them.
    pub(super) tasks: TaskTracker,
}

#[derive(Default)]
struct Listeners {
    by_number: HashMap<u64, Arc<Listener>>,
    by_topic: HashMap<Topic, HashSet<u64>>,
    /// Topics with listeners.
    kinds: HashMap<TopicKind, usize>,
    of_users: HashMap<UserId, usize>,
    strangers: usize,
    connections: usize,
    last: u64,
    /// Behind the last event that was handed over.
    reached: Option<EventId>,
}

/// A listener while its client is connected.
pub struct Listening {
    hub: Arc<Hub>,
    transport: &'static str,
    pub listener: Arc<Listener>,
    /// Where the hub was when it began to listen.
    pub since: Option<EventId>,
}

/// A socket that has not said whose it is.
pub struct Stranger(Arc<Hub>);

/// A connection of a protocol in which clients come and go while it stays.
pub struct Connection(Arc<Hub>);

impl Hub {
    #[must_use]
    pub fn new(app: &App) -> Arc<Self> {
        Arc::new(Self { app: app.clone(), listeners: Mutex::default(), tasks: TaskTracker::new() })
    }

    /// Makes room for a socket that has yet to say whose it is.
    pub fn admit_stranger(self: &Arc<Self>) -> Result<Stranger> {
        let mut listeners = self.listeners.lock();
        let most = (self.app.config.http.max_sockets / STRANGERS_SHARE).max(1);
        if listeners.strangers >= most || self.app.stop.is_cancelled() {
            return Err(too_many());
        }
        listeners.strangers += 1;
        Ok(Stranger(Arc::clone(self)))
    }

    /// Makes room for a connection.
    pub fn admit_connection(self: &Arc<Self>) -> Result<Connection> {
        let mut listeners = self.listeners.lock();
        if listeners.connections >= self.app.config.http.max_sockets || self.app.stop.is_cancelled() {
            return Err(too_many());
        }
        listeners.connections += 1;
        Ok(Connection(Arc::clone(self)))
    }

    /// Begins to listen for a caller, who may read and has not sent too much, to the topic of its own user.
    pub async fn admit(self: &Arc<Self>, caller: Caller, transport: &'static str) -> Result<Listening> {
        caller.require(Permission::Read)?;
        if let Some(budget) = self.app.rate_limits.user(caller.id).await {
            budget.check()?;
        }
        self.listen(caller, transport)
    }

    fn listen(self: &Arc<Self>, caller: Caller, transport: &'static str) -> Result<Listening> {
        let user = caller.id;
        let mut listeners = self.listeners.lock();
        let most = self.app.config.http.max_sockets;
        let of_user = listeners.of_users.get(&user).copied().unwrap_or_default();
        if listeners.by_number.len() >= most || of_user >= (most / USER_SHARE).max(1) || self.app.stop.is_cancelled() {
            return Err(too_many());
        }
        *listeners.of_users.entry(user).or_default() += 1;
        listeners.last += 1;
        let listener = Arc::new(Listener::new(listeners.last, caller));
        listeners.by_number.insert(listener.number, Arc::clone(&listener));
        listeners.add(Topic::User(user), listener.number);
        let since = listeners.reached;
        drop(listeners);
        metrics::SOCKETS.with_label_values(&[transport]).inc();
        Ok(Listening { hub: Arc::clone(self), transport, listener, since })
    }

    /// Which kinds of topics have listeners.
    #[must_use]
    pub fn interest(&self) -> BTreeSet<TopicKind> {
        self.listeners.lock().kinds.keys().copied().collect()
    }

    /// Behind the last event that was handed over.
    #[must_use]
    pub fn reached(&self) -> Option<EventId> {
        self.listeners.lock().reached
    }

    /// Hands events to all who listen, each once. Never waits.
    pub fn hand_over(&self, events: &[Arc<Event>]) {
        let mut listeners = self.listeners.lock();
        for event in events {
            for listener in listeners.of(&event.topics) {
                listener.push(event);
            }
            listeners.reached = event.id.or(listeners.reached);
        }
    }

    /// Remembers that everything up to here was handed over.
    pub fn reach(&self, reached: EventId) {
        self.listeners.lock().reached = Some(reached);
    }

    /// Tells every listener to load everything again that it listens to, and goes on from there.
    pub fn reset(&self, reached: Option<EventId>) {
        let mut listeners = self.listeners.lock();
        listeners.reached = reached;
        for listener in listeners.by_number.values() {
            listener.rewind(None);
            listener.push(&Arc::new(reset(reached, listener.topics())));
        }
    }

    /// All listeners with their callers.
    #[must_use]
    pub fn callers(&self) -> Vec<(Arc<Listener>, Caller)> {
        let listeners = self.listeners.lock();
        listeners.by_number.values().map(|listener| (Arc::clone(listener), listener.caller())).collect()
    }

    /// Takes what a caller may do now, without the topics that are lost.
    pub fn renew(&self, listener: &Listener, caller: Caller, lost: Vec<Topic>) {
        for topic in &lost {
            self.leave(listener, *topic);
        }
        listener.renew(caller, lost);
    }

    /// Waits until the server stops, and then for this socket's turn to be closed.
    pub async fn stopping(&self) {
        self.app.stop.cancelled().await;
        let config = &self.app.config;
        sleep(config.http.shutdown_delay(config.environment)).await;
        let sockets = self.listeners.lock().by_number.len() as u64;
        let longest = Duration::from_millis(sockets / CLOSED_IN_A_MILLISECOND).min(LONGEST_GOODBYE);
        sleep(longest.mul_f64(rand::random())).await;
    }

    fn leave(&self, listener: &Listener, topic: Topic) {
        let mut listeners = self.listeners.lock();
        if listener.leave(topic) {
            listeners.remove(topic, listener.number);
        }
    }
}

impl Listening {
    /// Adds topics, if the caller may listen to all of them; returns where the hub was then.
    pub async fn join(&self, topics: &[Topic]) -> Result<Option<EventId>> {
        let caller = self.listener.caller();
        for topic in topics {
            topic.check(&self.hub.app, &caller).await?;
        }
        let mut listeners = self.hub.listeners.lock();
        for topic in topics {
            if !self.listener.join(*topic, topic::MOST) {
                let detail = format!("a socket listens to at most {} topics", topic::MOST);
                return Err(Error::malformed("bad_topic", detail));
            }
            listeners.add(*topic, self.listener.number);
        }
        Ok(listeners.reached)
    }

    pub fn leave(&self, topics: &[Topic]) {
        for topic in topics {
            self.hub.leave(&self.listener, *topic);
        }
    }

    /// Forgets what waits, because it is read again, and what comes later up to an event; returns where the hub is. An event of
    /// another epoch says nothing of the events of this one.
    pub fn rewind(&self, heard: EventId) -> Option<EventId> {
        let listeners = self.hub.listeners.lock();
        let is_current = listeners.reached.is_some_and(|reached| reached.epoch == heard.epoch);
        self.listener.rewind(is_current.then_some(heard));
        listeners.reached
    }

    /// Takes another token of the same user.
    pub fn renew(&self, caller: Caller) -> Result<()> {
        if caller.id != self.listener.caller().id {
            return Err(Error::Forbidden("to be the user of this socket"));
        }
        self.listener.renew(caller, Vec::new());
        Ok(())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        metrics::SOCKETS.with_label_values(&[self.transport]).dec();
        let mut listeners = self.hub.listeners.lock();
        listeners.by_number.remove(&self.listener.number);
        for topic in self.listener.topics() {
            listeners.remove(topic, self.listener.number);
        }
        let user = self.listener.caller().id;
        if let Some(count) = listeners.of_users.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                listeners.of_users.remove(&user);
            }
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.listeners.lock().strangers -= 1;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.listeners.lock().connections -= 1;
    }
}

impl Listeners {
    fn add(&mut self, topic: Topic, number: u64) {
        let of_topic = self.by_topic.entry(topic).or_default();
        if of_topic.is_empty() {
            *self.kinds.entry(topic.kind()).or_default() += 1;
        }
        of_topic.insert(number);
    }

    fn remove(&mut self, topic: Topic, number: u64) {
        let Some(of_topic) = self.by_topic.get_mut(&topic) else { return };
        of_topic.remove(&number);
        if !of_topic.is_empty() {
            return;
        }
        self.by_topic.remove(&topic);
        if let Some(count) = self.kinds.get_mut(&topic.kind()) {
            *count -= 1;
            if *count == 0 {
                self.kinds.remove(&topic.kind());
            }
        }
    }

    /// Those who listen to one of the topics.
    fn of(&self, topics: &[Topic]) -> impl Iterator<Item = &Arc<Listener>> {
        let numbers: HashSet<u64> = topics.iter().filter_map(|topic| self.by_topic.get(topic)).flatten().copied().collect();
        numbers.into_iter().filter_map(|number| self.by_number.get(&number))
    }
}

/// The event that says what to load again.
#[must_use]
pub(super) fn reset(reached: Option<EventId>, topics: Vec<Topic>) -> Event {
    let names: Vec<String> = topics.iter().map(ToString::to_string).collect();
    Event::new(&events::RESET, reached, topics, serde_json::json!({ "topics": names }).to_string())
}

fn too_many() -> Error {
    Error::busy("too_many_sockets", "the server has as many sockets as it takes, in all, of one user, or without a token")
}
