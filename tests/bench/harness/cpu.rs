//! What work costs: the processor time of Elasticsearch, and of everything else on the machine.

use std::fmt;
use std::ops::{AddAssign, Sub};

use super::http::client::{Client, Endpoint};

/// Linux counts in hundredths of a second, whatever its clock.
const TICK_US: f64 = 10_000.0;

/// Processor time in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    /// Of Elasticsearch.
    pub index: f64,
    /// Of all else: the server, Postgres, the benchmark, and whatever else runs.
    pub rest: f64,
}

impl CpuTime {
    /// What has been spent so far; nothing where the system does not tell.
    pub async fn now(elasticsearch: &Endpoint) -> anyhow::Result<Self> {
        let path = "/_nodes/_local/stats/process?filter_path=nodes.*.process.cpu.total_in_millis";
        let answer = Client::open(elasticsearch).await?.read(&elasticsearch.get(path)?).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let nodes = answer["nodes"].as_object().into_iter().flat_map(|nodes| nodes.values());
        let index = nodes.filter_map(|node| node["process"]["cpu"]["total_in_millis"].as_f64()).sum::<f64>() * 1_000.0;
        let whole = busy_microseconds(&std::fs::read_to_string("/proc/stat").unwrap_or_default());
        Ok(Self { index, rest: whole - index })
    }

    /// Adds what some work costs.
    pub async fn add<T>(&mut self, elasticsearch: &Endpoint, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let before = Self::now(elasticsearch).await?;
        let done = work.await?;
        *self += Self::now(elasticsearch).await? - before;
        Ok(done)
    }

    /// Says what each of so many documents has cost on both sides, and what that means for the ratio of their speeds.
    pub fn against(self, reference: Self, documents: [usize; 2]) -> String {
        let [ours, theirs] = [self.each(documents[0]), reference.each(documents[1])];
        format!(
            "Processor time of a document: {ours}; in the reference {theirs}. Where all of it is taken from the same busy \
             processors, the ratio can be {:.2} at most.",
            theirs.whole() / ours.whole()
        )
    }

    /// What one of so many documents has cost.
    fn each(self, documents: usize) -> Self {
        let documents = documents.max(1) as f64;
        Self { index: self.index / documents, rest: self.rest / documents }
    }

    /// All of it.
    fn whole(self) -> f64 {
        self.index + self.rest
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { index: self.index - before.index, rest: self.rest - before.rest }
    }
}

impl AddAssign for CpuTime {
    fn add_assign(&mut self, more: Self) {
        self.index += more.index;
        self.rest += more.rest;
    }
}

impl fmt::Display for CpuTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} µs of Elasticsearch and {:.0} µs of all else", self.index, self.rest)
    }
}

/// Reads how long all processors together have worked, in microseconds, from the kernel's count: `/proc/stat` in proc(5).
pub fn busy_microseconds(stat: &str) -> f64 {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    // User, nice, system, idle, waiting for a disk, interrupts, soft interrupts; the rest is of guests and other machines.
    let worked = [0, 1, 2, 5, 6].iter().filter_map(|column| ticks.get(*column));
    worked.sum::<f64>() * TICK_US
}
