//! What answers questions: the same question gets the same documents from every implementor.

use std::future::Future;

use super::Collection;
use super::elastic::{Elastic, ElasticError};
use super::postgres::Postgres;
use super::query::{Hits, Query};

/// What answers questions about collections.
pub trait Engine {
    /// Name on the wire.
    const NAME: &'static str;
    /// Why it cannot answer.
    type Error;

    /// Answers a question.
    fn search(&self, collection: &Collection, query: &Query) -> impl Future<Output = Result<Hits, Self::Error>> + Send;
}

impl Engine for Elastic {
    const NAME: &'static str = "elasticsearch";
    type Error = ElasticError;

    async fn search(&self, collection: &Collection, query: &Query) -> Result<Hits, ElasticError> {
        self.answer(collection, query).await
    }
}

impl Engine for Postgres {
    const NAME: &'static str = "postgres";
    type Error = sqlx::Error;

    async fn search(&self, collection: &Collection, query: &Query) -> sqlx::Result<Hits> {
        self.answer(collection, query).await
    }
}
