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
    /// An operator or a full disk blocks an index or the cluster (`cluster_block_exception`).
    #[error("elasticsearch refuses writes: {0}; remove the block or free disk")]
    Blocked(String),
    /// Larger than may be read.
    #[error("an answer of elasticsearch is too large")]
    TooLarge,
    /// Repeating the request is useless.
    #[error("elasticsearch refused with {status}: {reason}")]
    Refused {
        status: u16,
        /// Of the server, without the values that it quotes.
        reason: String,
    },
    /// Something else may answer in its place. Nothing follows from such an answer.
    #[error("an answer of elasticsearch was not understood, check what answers at ELASTICSEARCH_URL: {0}")]
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

    /// What is blocked, such as `index [a]` or nothing for a cluster, and by what, such as `FORBIDDEN/8/index write (api)`.
    pub(in crate::search) fn block(&self) -> Option<(&str, &str)> {
        let reason = self.reason.as_deref().filter(|_| self.kind() == "cluster_block_exception")?;
        let (what, block) = reason.split_once("blocked by: [")?;
        let end = ["; for more information", "];"].into_iter().filter_map(|end| block.find(end)).min().unwrap_or(block.len());
        Some((what.trim_end(), &block[..end]))
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

    /// One word for metrics.
    #[must_use]
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Timeout => "timeout",
            Self::Rejected => "rejected",
            Self::Blocked(_) => "blocked",
            Self::TooLarge => "too_large",
            Self::Refused { .. } => "refused",
            Self::Broken(_) => "broken",
        }
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
            Self::Timeout | Self::Rejected | Self::Blocked(_) | Self::TooLarge => false,
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
        let refusal = serde_json::from_slice::<Refusal>(body).ok();
        if let (403 | 429, Some(Refusal::Cause { error })) = (status, &refusal)
            && let Some((what, block)) = error.block()
        {
            return Self::Blocked(format!("{what} blocked by {block}").trim_start().to_owned());
        }
        match (status, refusal.map(Refusal::reason)) {
            (429, _) => Self::Rejected,
            (401 | 403 | 500..=599, reason) => {
                Self::Unavailable(format!("status {status}, {}", reason.as_deref().unwrap_or("no reason given")))
            }
            (_, Some(reason)) => Self::Refused { status, reason },
            // A gateway without a way to the server says 404 too.
            (_, None) => Self::Broken(format!("status {status} without a reason")),
        }
    }
}

/// The ways in which Elasticsearch says no; every other answer comes from elsewhere.
#[derive(Deserialize)]
#[serde(untagged)]
enum Refusal {
    Cause {
        error: Cause,
    },
    /// No such alias.
    Text {
        error: String,
    },
    /// No such document.
    Absent {
        #[expect(dead_code, reason = "that it is there tells who answers")]
        found: bool,
    },
}

impl Refusal {
    fn reason(self) -> String {
        match self {
            Self::Cause { error } => error.describe(),
            Self::Text { error } => error,
            Self::Absent { .. } => "not found".into(),
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
        assert!(!ElasticError::from_answer(400, br#"{"error":{"type":"parsing_exception"}}"#).is_outage());
    }

    #[test]
    fn only_elasticsearch_itself_says_that_something_is_missing() {
        for missing in [
            r#"{"error":{"type":"index_not_found_exception","reason":"no such index [a]"},"status":404}"#,
            r#"{"error":"alias [a] missing","status":404}"#,
            r#"{"found":false}"#,
        ] {
            assert!(ElasticError::from_answer(404, missing.as_bytes()).is_missing(), "{missing}");
        }
        for other in ["", "{}", "[]", "default backend - 404", "<html>", r#"{"message":"no Route matched"}"#] {
            let error = ElasticError::from_answer(404, other.as_bytes());
            assert!(!error.is_missing() && error.is_outage(), "{other}");
        }
    }

    #[test]
    fn a_block_is_told_from_an_overload_and_from_missing_rights() {
        let flood = br#"{"error":{"type":"cluster_block_exception","reason":"index [a] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block; for more information, see https://www.elastic.co];"},"status":429}"#;
        let global = br#"{"error":{"type":"cluster_block_exception","reason":"blocked by: [FORBIDDEN/6/cluster read-only (api)];"},"status":403}"#;
        for (status, body) in [(429, &flood[..]), (403, &global[..])] {
            assert!(matches!(ElasticError::from_answer(status, body), ElasticError::Blocked(_)), "{status}");
        }
        let cause = Cause {
            kind: Some("cluster_block_exception".into()),
            reason: Some("index [a] blocked by: [FORBIDDEN/8/index write (api)];".into()),
        };
        assert_eq!(cause.block(), Some(("index [a]", "FORBIDDEN/8/index write (api)")));
        let master = br#"{"error":{"type":"cluster_block_exception","reason":"blocked by: [SERVICE_UNAVAILABLE/2/no master];"},"status":503}"#;
        assert!(matches!(ElasticError::from_answer(503, master), ElasticError::Unavailable(_)));
    }
}
