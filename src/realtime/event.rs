//! An event as listeners get it, written once for all that see the same of it.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use bytes::Bytes;

use super::events::Kind;
use super::topic::Topic;
use crate::values::lsn::{Epoch, Lsn};
use crate::values::personal::Disclosure;

/// Where an event stands in the change stream: alike on every server, and greater than those of all events before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    pub epoch: Epoch,
    /// The end of the entry of the feed.
    pub lsn: Lsn,
    /// The place within the entry.
    pub place: u32,
}

impl EventId {
    /// Behind all events of an entry.
    #[must_use]
    pub fn end(epoch: Epoch, lsn: Lsn) -> Self {
        Self { epoch, lsn, place: u32::MAX }
    }
}

/// `<epoch>-<lsn>-<place>`, without the place at the end of an entry.
impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch.0, self.lsn.0)?;
        if self.place == u32::MAX { Ok(()) } else { write!(f, "-{}", self.place) }
    }
}

impl FromStr for EventId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '-');
        let mut next = || parts.next().unwrap_or_default();
        let (epoch, lsn, place) = (next().parse()?, next().parse()?, next());
        let place = if place.is_empty() { u32::MAX } else { place.parse()? };
        Ok(Self { epoch: Epoch(epoch), lsn: Lsn(lsn), place })
    }
}

/// One event. Every transport sends the same JSON, whose bytes all listeners share.
#[derive(Debug)]
pub struct Event {
    pub kind: &'static Kind,
    /// None of an event of which only the newest counts: it is not sent again to a client that comes back.
    pub id: Option<EventId>,
    /// Who listens to one of them hears it.
    pub topics: Vec<Topic>,
    full: Bytes,
    /// Absent if nothing in it is personal.
    masked: Option<Bytes>,
    frames: [OnceLock<Bytes>; 2],
}

impl Event {
    /// An event that all see alike; `data` is JSON.
    #[must_use]
    pub fn new(kind: &'static Kind, id: Option<EventId>, topics: Vec<Topic>, data: impl Into<Bytes>) -> Self {
        Self { kind, id, topics, full: data.into(), masked: None, frames: Default::default() }
    }

    /// The same event with what those see who see no personal data.
    #[must_use]
    pub fn masked(mut self, data: impl Into<Bytes>) -> Self {
        self.masked = Some(data.into());
        self
    }

    /// What happened, as JSON.
    #[must_use]
    pub fn data(&self, disclosure: Disclosure) -> &Bytes {
        match disclosure {
            Disclosure::Full => &self.full,
            Disclosure::Masked => self.masked.as_ref().unwrap_or(&self.full),
        }
    }

    /// The whole event as JSON.
    #[must_use]
    pub fn frame(&self, disclosure: Disclosure) -> &Bytes {
        let place = usize::from(disclosure == Disclosure::Masked && self.masked.is_some());
        self.frames[place].get_or_init(|| {
            let data = self.data(disclosure);
            let mut frame = Vec::with_capacity(data.len() + 96);
            frame.extend_from_slice(br#"{"type":"event""#);
            if let Some(id) = self.id {
                frame.extend_from_slice(format!(r#","id":"{id}""#).as_bytes());
            }
            frame.extend_from_slice(format!(r#","event":"{}","data":"#, self.kind.name).as_bytes());
            frame.extend_from_slice(data);
            frame.push(b'}');
            frame.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::events;

    #[test]
    fn an_id_is_read_as_it_was_written_and_ids_are_in_the_order_of_the_stream() {
        let id = |lsn, place| EventId { epoch: Epoch(3), lsn: Lsn(lsn), place };
        let ids = [id(7, 0), id(7, 4), EventId::end(Epoch(3), Lsn(7)), id(8, 0), EventId::end(Epoch(4), Lsn(1))];
        assert!(ids.is_sorted());
        for id in ids {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for wrong in ["", "1", "1-", "x-1-2", "1-2-x", "1-2-3-4", "-1-2", "99999-1", "1-18446744073709551616"] {
            wrong.parse::<EventId>().unwrap_err();
        }
    }

    #[test]
    fn who_sees_no_personal_data_gets_bytes_without_them() {
        let event = Event::new(&events::RESET, None, Vec::new(), r#"{"a":1}"#).masked(r#"{"a":2}"#);
        assert_eq!(event.frame(Disclosure::Full), r#"{"type":"event","event":"reset","data":{"a":1}}"#);
        assert_eq!(event.frame(Disclosure::Masked), r#"{"type":"event","event":"reset","data":{"a":2}}"#);
        let alike = Event::new(&events::RESET, None, Vec::new(), "{}");
        assert_eq!(alike.frame(Disclosure::Full).as_ptr(), alike.frame(Disclosure::Masked).as_ptr());
    }
}
