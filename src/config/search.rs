//! Settings of the engines that answer searches.

use clap::Args;
use secrecy::SecretString;

/// Settings of the engines that answer searches.
#[derive(Args, Clone, Debug)]
pub struct Search {
    /// Elasticsearch: `http://user:password@host:port`. Without it Postgres answers every search.
    #[arg(id = "elasticsearch-url", long = "elasticsearch-url", env = "ELASTICSEARCH_URL", hide_env_values = true)]
    pub url: Option<SecretString>,
    /// What the names of all indices and aliases begin with, so that several deployments can share a cluster.
    #[arg(id = "index-prefix", long = "index-prefix", env = "INDEX_PREFIX", default_value = "collections")]
    pub index_prefix: String,
    /// Longest wait for an answer to a search, in milliseconds; then Postgres answers.
    #[arg(id = "search-timeout-ms", long = "search-timeout-ms", env = "SEARCH_TIMEOUT_MS", default_value_t = 500)]
    pub timeout_ms: u64,
    /// Longest wait for the acknowledgement of a bulk write, in milliseconds.
    #[arg(id = "bulk-timeout-ms", long = "bulk-timeout-ms", env = "BULK_TIMEOUT_MS", default_value_t = 60_000)]
    pub bulk_timeout_ms: u64,
    /// Failures in a row after which searches go to Postgres without asking Elasticsearch first.
    #[arg(
        id = "search-breaker-failures",
        long = "search-breaker-failures",
        env = "SEARCH_BREAKER_FAILURES",
        default_value_t = 3
    )]
    pub breaker_failures: u32,
    /// Milliseconds between attempts to reach Elasticsearch again.
    #[arg(
        id = "search-breaker-probe-ms",
        long = "search-breaker-probe-ms",
        env = "SEARCH_BREAKER_PROBE_MS",
        default_value_t = 1_000
    )]
    pub breaker_probe_ms: u64,
    /// Largest page of a list.
    #[arg(id = "page-limit", long = "page-limit", env = "PAGE_LIMIT", default_value_t = 100)]
    pub page_limit: u32,
    /// Size of a page when the client names none.
    #[arg(id = "page-default", long = "page-default", env = "PAGE_DEFAULT", default_value_t = 10)]
    pub page_default: u32,
    /// Hits up to which totals are counted exactly, and pages reached by number.
    #[arg(id = "total-limit", long = "total-limit", env = "TOTAL_LIMIT", default_value_t = 10_000)]
    pub total_limit: u32,
}
