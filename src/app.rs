//! The shared state that every request and task gets.

use std::sync::Arc;

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::audit::{Keys, Recorder};
use crate::cache::{Cache, Shared};
use crate::config::Config;
use crate::db::Pools;
use crate::feed::Feed;
use crate::freshness::Watermark;
use crate::outgoing::Outgoing;
use crate::rate_limits::RateLimits;
use crate::search::Search;
use crate::turns::Turns;
use crate::usage::Usage;
use crate::values::clock::Clock;
use crate::values::network::Network;

/// Log-ins of one address that may wait for their turn; with more, the last would wait for seconds.
const LOG_INS_WAITING: usize = 16;

/// Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<State>);

pub struct State {
    pub config: Config,
    pub clock: Clock,
    pub db: Pools,
    /// Answers of Postgres, for seconds.
    pub cache: Arc<Cache>,
    /// What users do.
    pub usage: Usage,
    /// Figures that many dashboards show.
    pub figures: Shared,
    /// What is read and revealed.
    pub audit: Arc<Recorder>,
    /// Announcements of changed rows.
    pub feed: Arc<Feed>,
    /// How much users and addresses may send.
    pub rate_limits: Arc<RateLimits>,
    pub search: Search,
    /// Mail.
    pub outgoing: Outgoing,
    /// How far Elasticsearch has followed Postgres.
    pub watermark: Watermark,
    /// Places of log-ins in progress. Most of them wait for a password to be hashed, so there are few: a longer queue only makes
    /// everyone wait for longer.
    pub log_ins: Semaphore,
    /// Those of one address, which takes no more than a third of the places.
    pub log_ins_of_address: Turns<Network>,
    /// Cancelled by a stop signal.
    pub stop: CancellationToken,
}

impl App {
    /// Opens the drivers without connecting, so that the program starts while its servers still do. Fails on unusable settings.
    pub fn open(config: Config, clock: Clock) -> anyhow::Result<Self> {
        config.check().map_err(anyhow::Error::msg)?;
        let db = Pools::open(&config.database).context("DATABASE_URL is not an address of Postgres")?;
        let redis_url = config.redis_url.as_ref().map(ExposeSecret::expose_secret);
        let cache = Arc::new(Cache::default());
        // Deployments that share a Redis have different indices or slots.
        let name = format!("{}:{}", config.search.index_prefix, config.sync.slot);
        let feed =
            Feed::open(&config.feed, redis_url, &name, db.watch.clone()).context("REDIS_URL is not an address of Redis")?;
        let audit =
            Arc::new(Recorder::new(db.server.clone(), Keys::new(config.access.key(), config.access.keys()), config.audit.reads));
        let rate_limits = RateLimits::open(&config.limits, redis_url, &name).context("REDIS_URL is not an address of Redis")?;
        let usage = Usage::new(db.server.clone(), clock.clone());
        let search = Search::open(&config, db.search.clone(), db.exports.clone())?;
        let outgoing = Outgoing::open(&config.mail)?;
        let (watermark, stop) = (Watermark::default(), CancellationToken::new());
        let log_ins = Semaphore::new(config.access.log_ins);
        let share = u32::try_from(config.access.log_ins / 3).unwrap_or(u32::MAX).max(1);
        let log_ins_of_address = Turns::new(share, LOG_INS_WAITING);
        Ok(Self(Arc::new(State {
            config,
            clock,
            db,
            cache,
            usage,
            figures: Shared::default(),
            audit,
            feed,
            rate_limits,
            search,
            outgoing,
            watermark,
            log_ins,
            log_ins_of_address,
            stop,
        })))
    }
}

impl std::ops::Deref for App {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}
