//! Settings of the engines that answer searches.

use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use super::range::{DAY, HOUR, MILLISECOND, MINUTE, SECOND, duration};

#[derive(Args, Clone, Debug)]
pub struct Search {
    /// Elasticsearch: `http://user:password@host:port`, percent-encoded. Without it Postgres answers every search.
    #[arg(id = "elasticsearch-url", long = "elasticsearch-url", env = "ELASTICSEARCH_URL", hide_env_values = true)]
    pub url: Option<SecretString>,
    /// Prefix of the names of all indices and aliases, so that several deployments can share a cluster.
    #[arg(id = "index-prefix", long = "index-prefix", env = "INDEX_PREFIX", default_value = "collections")]
    pub index_prefix: String,
    /// Longest wait for the answer to a search; then Postgres answers.
    #[arg(
        id = "search-timeout",
        long = "search-timeout",
        env = "SEARCH_TIMEOUT",
        default_value = "500ms",
        value_parser = duration(MILLISECOND..=MINUTE)
    )]
    pub timeout: Duration,
    /// Age from which the answers of the index are marked as stale, and the health as degraded.
    #[arg(
        id = "stale-after",
        long = "stale-after",
        env = "STALE_AFTER",
        default_value = "5s",
        value_parser = duration(SECOND..=DAY)
    )]
    pub stale_after: Duration,
    /// Longest wait for the acknowledgement of a bulk write.
    #[arg(
        id = "bulk-timeout",
        long = "bulk-timeout",
        env = "BULK_TIMEOUT",
        default_value = "60s",
        value_parser = duration(SECOND..=HOUR)
    )]
    pub bulk_timeout: Duration,
}
