//! What clients and server say to each other, in JSON.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::realtime::event::EventId;
use crate::realtime::topic::Topic;

/// A message of a client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum Said {
    /// Whose socket it is, or a newer token of the same user.
    Auth {
        token: String,
    },
    Subscribe {
        topics: Vec<String>,
    },
    Unsubscribe {
        topics: Vec<String>,
    },
    /// The last event that the client has got.
    Resume {
        last_event_id: String,
    },
    Ping {},
}

/// A message of the server that is no event.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub(super) enum Reply {
    Ready {
        user_id: uuid::Uuid,
        topics: Vec<String>,
        /// From where a client can resume that has got no event.
        last_event_id: Option<String>,
        /// Seconds between two pings of the server.
        heartbeat: u64,
    },
    Subscribed {
        topics: Vec<String>,
    },
    Unsubscribed {
        topics: Vec<String>,
    },
    Resumed {
        events: usize,
    },
    Pong {},
    Error {
        code: &'static str,
        message: String,
    },
}

impl Reply {
    pub(super) fn error(error: &Error) -> Self {
        Self::Error { code: error.code(), message: error.to_string() }
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

pub(super) fn names(topics: &[Topic]) -> Vec<String> {
    topics.iter().map(ToString::to_string).collect()
}

pub(super) fn shown(id: Option<EventId>) -> Option<String> {
    id.map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_by_their_type() {
        for (text, expected) in [
            (r#"{"type":"auth","token":"t"}"#, "Auth"),
            (r#"{"type":"subscribe","topics":["payments"]}"#, "Subscribe"),
            (r#"{"type":"unsubscribe","topics":[]}"#, "Unsubscribe"),
            (r#"{"type":"resume","lastEventId":"1-2-3"}"#, "Resume"),
            (r#"{"type":"ping"}"#, "Ping"),
        ] {
            let said = format!("{:?}", serde_json::from_str::<Said>(text).unwrap());
            assert!(said.starts_with(expected), "{said}");
        }
        for wrong in
            ["", "1", "[]", "{}", r#"{"type":"x"}"#, r#"{"type":"subscribe"}"#, r#"{"type":"subscribe","topics":"payments"}"#]
        {
            serde_json::from_str::<Said>(wrong).unwrap_err();
        }
    }
}
