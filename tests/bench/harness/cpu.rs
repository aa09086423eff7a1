//! Processor time of Elasticsearch, and of everything else on the machine.

use std::fmt;
use std::ops::{AddAssign, Sub};

use super::http::client::{Client, Endpoint};

/// `USER_HZ`, the unit of /proc, is 100 on every common Linux.
const TICK_US: f64 = 10_000.0;

/// Processor time in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    elasticsearch: f64,
    /// Server, Postgres, benchmark, and everything else that runs.
    other: f64,
}

impl CpuTime {
    /// Reads the time used so far; 0 where the system does not report it.
    async fn now(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let path = "/_nodes/_local/stats/process?filter_path=nodes.*.process.cpu.total_in_millis";
        let answer = Client::open(endpoint).await?.read(&endpoint.get(path)?).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let nodes = answer["nodes"].as_object().into_iter().flat_map(|nodes| nodes.values());
        let elasticsearch = nodes.filter_map(|node| node["process"]["cpu"]["total_in_millis"].as_f64()).sum::<f64>() * 1_000.0;
        let total = busy_microseconds(&std::fs::read_to_string("/proc/stat").unwrap_or_default());
        Ok(Self { elasticsearch, other: total - elasticsearch })
    }

    /// Runs the work and adds the processor time used meanwhile.
    pub async fn add<T>(&mut self, elasticsearch: &Endpoint, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let before = Self::now(elasticsearch).await?;
        let done = work.await?;
        *self += Self::now(elasticsearch).await? - before;
        Ok(done)
    }

    /// Describes the time per document on both sides, and the best ratio that it allows.
    pub fn compare(self, reference: Self, documents: [usize; 2]) -> String {
        let (ours, theirs) = (self.per_document(documents[0]), reference.per_document(documents[1]));
        format!(
            "Processor time per document: {ours}; in the reference {theirs}. Where both sides keep the same processors busy, the \
             ratio is {:.2} at most.",
            theirs.total() / ours.total()
        )
    }

    fn per_document(self, documents: usize) -> Self {
        let documents = documents.max(1) as f64;
        Self { elasticsearch: self.elasticsearch / documents, other: self.other / documents }
    }

    fn total(self) -> f64 {
        self.elasticsearch + self.other
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { elasticsearch: self.elasticsearch - before.elasticsearch, other: self.other - before.other }
    }
}

impl AddAssign for CpuTime {
    fn add_assign(&mut self, more: Self) {
        self.elasticsearch += more.elasticsearch;
        self.other += more.other;
    }
}

impl fmt::Display for CpuTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} µs of Elasticsearch and {:.0} µs of everything else", self.elasticsearch, self.other)
    }
}

/// Sums the busy time of all processors in microseconds, from the text of `/proc/stat`; see proc(5).
pub fn busy_microseconds(stat: &str) -> f64 {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq; the others belong to guests and other machines.
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|column| ticks.get(*column));
    busy.sum::<f64>() * TICK_US
}
