//! Errors of Elasticsearch.

use serde::Deserialize;

#[derive(Debug, thiserror::Error)]
pub enum ElasticError {
    /// Unreachable, also from a gateway before it; or it refuses our credentials (401, 403) or fails (5xx).
    #[error("elasticsearch cannot be reached: {0}")]
    Unavailable(String),
    /// The deadline passed, or shards failed.
    #[error("elasticsearch took too long")]
    Timeout,
    /// Its queues are full (429): the same request may succeed later.
    #[error("elasticsearch is overloaded")]
    Rejected,
    /// Repeating the request is useless.
    #[error("elasticsearch refused with {status}: {reason}")]
    Refused {
        status: u16,
        /// Of the server, without the values that it quotes.
        reason: String,
    },
    #[error("elasticsearch sent an unusable answer: {0}")]
    Broken(String),
}

/// The error of a whole request or of one item of a bulk.
#[derive(Debug, Deserialize)]
pub(in crate::search) struct Cause {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
}

impl Cause {
    /// Such as `document_parsing_exception`.
    pub(in crate::search) fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("error")
    }

    /// The reason up to where it begins to quote the document: values are personal data and stay out of logs.
    pub(in crate::search) fn describe(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or_default();
        let end = [". Preview of", "The prefix of", " For input string", "in document with id"]
            .into_iter()
            .filter_map(|quote| reason.find(quote))
            .min()
            .unwrap_or(reason.len());
        let reason: String = reason[..end].chars().take(300).collect();
        format!("{}: {}", self.kind(), reason.trim_end())
    }
}

impl ElasticError {
    /// Whether it says something about the server and not about the request.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }

    /// Whether what was asked for does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether it says that an index is gone or cannot be reached, after which it may be another one.
    #[must_use]
    pub(in crate::search) fn is_fault_of_index(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Broken(_) | Self::Refused { status: 404, .. } => true,
            Self::Refused { reason, .. } => reason.starts_with("index_closed_exception"),
            Self::Timeout | Self::Rejected => false,
        }
    }

    pub(super) fn from_transport(error: elasticsearch::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        // The client's own text stops at "error sending request"; the reason lies at the end of the chain.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Self::Unavailable(cause.to_string())
    }

    pub(super) fn from_answer(status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Answer {
            error: Cause,
        }

        let reason =
            serde_json::from_slice::<Answer>(body).map_or_else(|_| "no reason given".into(), |answer| answer.error.describe());
        match status {
            429 => Self::Rejected,
            401 | 403 | 500..=599 => Self::Unavailable(format!("status {status}, {reason}")),
            _ => Self::Refused { status, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_field_and_never_the_value() {
        let body = br#"{"error":{"type":"document_parsing_exception","reason":"[1:9] failed to parse field [dueDate] of type [date] in document with id '7'. Preview of field's value: 'Jane Doe'"},"status":400}"#;
        let ElasticError::Refused { status, reason } = ElasticError::from_answer(400, body) else { panic!("not a refusal") };
        assert_eq!(
            (status, reason.as_str()),
            (400, "document_parsing_exception: [1:9] failed to parse field [dueDate] of type [date]")
        );
    }

    #[test]
    fn full_queues_and_failing_gateways_are_not_refusals() {
        assert!(matches!(ElasticError::from_answer(429, b"{}"), ElasticError::Rejected));
        for status in [401, 403, 500, 503] {
            assert!(ElasticError::from_answer(status, b"busy").is_outage(), "{status}");
        }
        assert!(!ElasticError::from_answer(400, b"{}").is_outage());
        assert!(ElasticError::from_answer(404, b"{}").is_missing());
    }
}
