//! What every answer of a kind says of its success. An answer without it is not one of Elasticsearch.

use serde::Deserialize;

use super::ElasticError;

/// The shards that took part in an action.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(in crate::search) struct Shards {
    failed: u32,
}

impl Shards {
    /// Fails if a shard did: an answer with a part missing is none.
    pub(in crate::search) fn check(self) -> Result<(), ElasticError> {
        if self.failed > 0 { Err(ElasticError::Timeout) } else { Ok(()) }
    }
}

/// Whether every node has taken over a change of indices, aliases or templates.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(in crate::search) struct Acknowledged {
    acknowledged: bool,
}

impl Acknowledged {
    /// Fails if one has not in time.
    pub(in crate::search) fn check(self) -> Result<(), ElasticError> {
        if self.acknowledged { Ok(()) } else { Err(ElasticError::Timeout) }
    }
}
