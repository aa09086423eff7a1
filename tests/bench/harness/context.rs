//! Shared state of the parts.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use collections::config;
use collections::config::Config;

use super::report::measure::{Goal, Measure};
use super::sandbox::Sandbox;
use super::server::Server;
use super::sizes::Sizes;

/// Id of measures without a numbered goal.
pub const TRIAL: &str = "–";

pub struct Context<'a> {
    pub sandbox: &'a Sandbox,
    /// `None` while it is stopped.
    pub server: Option<Server>,
    pub config: &'a Config,
    pub sync: &'a config::Sync,
    pub customers: u64,
    pub sizes: &'a Sizes,
    /// Rounds of each side.
    pub rounds: usize,
    /// Length of one round of load.
    pub round: Duration,
    /// File that the servers log to.
    pub log: &'a Path,
}

impl Context<'_> {
    pub fn server(&self) -> anyhow::Result<&Server> {
        self.server.as_ref().context("no server runs")
    }

    pub async fn sign_in(&mut self) -> anyhow::Result<()> {
        self.server.as_mut().context("no server runs")?.sign_in().await
    }

    pub async fn stop_server(&mut self) -> anyhow::Result<()> {
        match self.server.take() {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }

    /// An empty measure with so many customers.
    pub fn measure(&self) -> Measure {
        Measure { customers: self.customers, ..Measure::default() }
    }

    /// A single value of a trial.
    pub fn trial_result(&self, what: &str, unit: &'static str, value: f64, goal: Goal, how: &str) -> Measure {
        Measure { id: TRIAL, what: what.into(), unit, ours: vec![value], goal, how: how.into(), ..self.measure() }
    }
}
