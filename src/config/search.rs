//! Settings of the engines that answer searches.

use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use super::range::{DAY, HOUR, MILLISECOND, MINUTE, SECOND, duration, number};

#[derive(Args, Clone, Debug)]
pub struct Search {
    /// Elasticsearch: `http://user:password@host:port`, percent-encoded. Without it Postgres answers every search.
    #[arg(id = "elasticsearch-url", long = "elasticsearch-url", env = "ELASTICSEARCH_URL", hide_env_values = true)]
    pub url: Option<SecretString>,
    /// Prefix of the names of all indices and aliases, so that several deployments can share a cluster.
    #[arg(id = "index-prefix", long = "index-prefix", env = "INDEX_PREFIX", default_value = "collections")]
    pub index_prefix: String,
    /// Indices without persons for analysts: `off`, `on`, or `agents`, which also names agents. Every change is then written twice.
    #[arg(id = "analytics", long = "analytics", env = "ANALYTICS", default_value = "off")]
    pub analytics: Analytics,
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
    /// Largest page of a list below `/api/v1`; the older address cuts pages down to 100.
    #[arg(id = "page-limit", long = "page-limit", env = "PAGE_LIMIT", default_value_t = 1_000, value_parser = number(10..=10_000_u32))]
    pub page_limit: u32,
    /// Longest time between two pages of a frozen view: a client stores a page within it, and a forgotten view soon costs no disk.
    #[arg(skip = Duration::from_secs(60))]
    pub view_keep_alive: Duration,
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

/// What there is for analysts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Analytics {
    /// Nothing.
    #[default]
    Off,
    /// Agents have pseudonyms.
    On,
    /// Agents have their user names.
    Agents,
}

impl Analytics {
    /// As it is set and stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Agents => "agents",
        }
    }
}
