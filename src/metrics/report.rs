//! The metrics as JSON, with percentiles in place of histograms.

use std::collections::BTreeMap;

use prometheus::proto::{Metric, MetricFamily};
use schemars::JsonSchema;
use serde::Serialize;

/// What the process has counted since its start, and what it found at this moment; what is not known is null.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    process: ProcessFigures,
    http: HttpFigures,
    postgres: PostgresFigures,
    elasticsearch: ElasticsearchFigures,
    lists: Vec<ListFigures>,
    sync: SyncFigures,
}

#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessFigures {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    open_files: Option<f64>,
    threads: Option<f64>,
}

#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpFigures {
    in_flight: Option<f64>,
    requests: u64,
    /// Answers with a status of 500 or more.
    errors: u64,
    /// Errors by requests, from 0 to 1.
    error_rate: f64,
    time: Quantiles,
    routes: Vec<RouteFigures>,
}

#[derive(Debug, JsonSchema, Serialize)]
struct RouteFigures {
    method: String,
    /// The pattern of the address.
    route: String,
    errors: u64,
    time: Quantiles,
}

#[derive(Debug, JsonSchema, Serialize)]
struct PostgresFigures {
    time: Quantiles,
    statements: Vec<StatementFigures>,
    connections: Vec<PoolFigures>,
}

#[derive(Debug, JsonSchema, Serialize)]
struct StatementFigures {
    /// Verb and first table.
    statement: String,
    time: Quantiles,
}

#[derive(Debug, JsonSchema, Serialize)]
struct PoolFigures {
    pool: String,
    /// `idle` or `busy`.
    state: String,
    count: f64,
}

#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct ElasticsearchFigures {
    /// Whether lists stay away from it.
    breaker_open: Option<bool>,
    time: Quantiles,
    operations: Vec<OperationFigures>,
}

#[derive(Debug, JsonSchema, Serialize)]
struct OperationFigures {
    operation: String,
    outcome: String,
    time: Quantiles,
}

/// Lists that an engine has answered.
#[derive(Debug, JsonSchema, Serialize)]
struct ListFigures {
    collection: String,
    engine: String,
    /// Whether they should have come from the other engine.
    degraded: String,
    count: f64,
}

#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct SyncFigures {
    leading: Option<bool>,
    lag_seconds: Option<f64>,
    lag_bytes: Option<f64>,
    backlog: Option<f64>,
    fanouts: Option<f64>,
    dead_letters: Option<f64>,
}

/// How long something took, in milliseconds.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct Quantiles {
    count: u64,
    mean_ms: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Report {
    pub(super) fn new(families: &[MetricFamily]) -> Self {
        let families = Families(families);
        let http = families.timings("collections_http_seconds");
        let (requests, errors) = (http.iter().map(|series| series.count).sum(), errors_of(&http));
        let statements = families.timings("collections_postgres_seconds");
        let operations = families.timings("collections_elasticsearch_seconds");
        Self {
            process: ProcessFigures {
                cpu_seconds: families.value("process_cpu_seconds_total"),
                resident_bytes: families.value("process_resident_memory_bytes"),
                virtual_bytes: families.value("process_virtual_memory_bytes"),
                open_files: families.value("process_open_fds"),
                threads: families.value("process_threads"),
            },
            http: HttpFigures {
                in_flight: families.value("collections_http_in_flight"),
                requests,
                errors,
                error_rate: if requests == 0 { 0.0 } else { errors as f64 / requests as f64 },
                time: Timing::sum(&http).show(),
                routes: grouped(&http, ["method", "route"], |[method, route], series| RouteFigures {
                    method,
                    route,
                    errors: errors_of(series),
                    time: Timing::sum(series).show(),
                }),
            },
            postgres: PostgresFigures {
                time: Timing::sum(&statements).show(),
                statements: grouped(&statements, ["statement"], |[statement], series| StatementFigures {
                    statement,
                    time: Timing::sum(series).show(),
                }),
                connections: families.labelled("collections_postgres_connections", |label, count| PoolFigures {
                    pool: label("pool"),
                    state: label("state"),
                    count,
                }),
            },
            elasticsearch: ElasticsearchFigures {
                breaker_open: families.value("collections_breaker_open").map(|open| open > 0.0),
                time: Timing::sum(&operations).show(),
                operations: grouped(&operations, ["operation", "outcome"], |[operation, outcome], series| OperationFigures {
                    operation,
                    outcome,
                    time: Timing::sum(series).show(),
                }),
            },
            lists: families.labelled("collections_searches_total", |label, count| ListFigures {
                collection: label("collection"),
                engine: label("engine"),
                degraded: label("degraded"),
                count,
            }),
            sync: SyncFigures {
                leading: families.value("collections_sync_leading").map(|leading| leading > 0.0),
                lag_seconds: families.value("collections_sync_lag_seconds"),
                lag_bytes: families.value("collections_sync_lag_bytes"),
                backlog: families.value("collections_sync_backlog"),
                fanouts: families.value("collections_sync_fanouts"),
                dead_letters: families.value("collections_sync_dead_letters"),
            },
        }
    }
}

/// All metrics of one scrape.
struct Families<'a>(&'a [MetricFamily]);

impl<'a> Families<'a> {
    fn metrics(&self, name: &str) -> &'a [Metric] {
        self.0.iter().find(|family| family.name() == name).map_or(&[], MetricFamily::get_metric)
    }

    /// The value of a metric without labels, if it is known.
    fn value(&self, name: &str) -> Option<f64> {
        self.metrics(name).first().map(value)
    }

    /// The values of a metric, each shown with its labels.
    fn labelled<T>(&self, name: &str, show: impl Fn(&dyn Fn(&str) -> String, f64) -> T) -> Vec<T> {
        let each = |metric: &Metric| {
            let label = |name: &str| {
                let found = metric.get_label().iter().find(|label| label.name() == name);
                found.map(|label| label.value().to_owned()).unwrap_or_default()
            };
            show(&label, value(metric))
        };
        self.metrics(name).iter().map(each).collect()
    }

    fn timings(&self, name: &str) -> Vec<Timing<'a>> {
        self.metrics(name).iter().map(Timing::read).collect()
    }
}

/// Gauges and counters share the shape; one of both is zero.
fn value(metric: &Metric) -> f64 {
    metric.get_gauge().get_value() + metric.get_counter().get_value()
}

/// One series of a histogram, or the sum of several.
#[derive(Clone, Default)]
struct Timing<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    count: u64,
    seconds: f64,
    /// Upper bounds in seconds, with how many took no longer.
    buckets: Vec<(f64, u64)>,
}

impl<'a> Timing<'a> {
    fn read(metric: &'a Metric) -> Self {
        let histogram = metric.get_histogram();
        Self {
            labels: metric.get_label().iter().map(|label| (label.name(), label.value())).collect(),
            count: histogram.get_sample_count(),
            seconds: histogram.get_sample_sum(),
            buckets: histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect(),
        }
    }

    /// The series together; all have the same bounds.
    fn sum(series: &[Self]) -> Self {
        series.iter().fold(Self::default(), |mut sum, one| {
            sum.count += one.count;
            sum.seconds += one.seconds;
            if sum.buckets.is_empty() {
                sum.buckets.clone_from(&one.buckets);
            } else {
                sum.buckets.iter_mut().zip(&one.buckets).for_each(|(sum, one)| sum.1 += one.1);
            }
            sum
        })
    }

    fn label(&self, name: &str) -> &'a str {
        self.labels.get(name).copied().unwrap_or_default()
    }

    /// The time that this share of all took no longer than, as Prometheus' `histogram_quantile` estimates it; beyond the last bound the
    /// last bound.
    fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * self.count as f64;
        let mut below = (0.0, 0);
        for &(bound, within) in &self.buckets {
            if within as f64 >= rank && within > below.1 {
                let part = (rank - below.1 as f64) / (within - below.1) as f64;
                return Some(below.0 + (bound - below.0) * part);
            }
            below = (bound, within);
        }
        (self.count > 0).then_some(below.0)
    }

    fn show(&self) -> Quantiles {
        let ms = |seconds: f64| (seconds * 1_000_000.0).round() / 1_000.0;
        Quantiles {
            count: self.count,
            mean_ms: (self.count > 0).then(|| ms(self.seconds / self.count as f64)),
            p50_ms: self.quantile(0.5).map(ms),
            p95_ms: self.quantile(0.95).map(ms),
            p99_ms: self.quantile(0.99).map(ms),
        }
    }
}

/// How many were answered with a status of 500 or more.
fn errors_of(series: &[Timing<'_>]) -> u64 {
    series.iter().filter(|one| one.label("status") == "5xx").map(|one| one.count).sum()
}

/// The series by some of their labels.
fn grouped<'a, const N: usize, T>(
    series: &[Timing<'a>],
    by: [&str; N],
    show: impl Fn([String; N], &[Timing<'a>]) -> T,
) -> Vec<T> {
    let mut groups: BTreeMap<[&str; N], Vec<Timing<'a>>> = BTreeMap::new();
    for one in series {
        groups.entry(by.map(|label| one.label(label))).or_default().push(one.clone());
    }
    groups.into_iter().map(|(labels, series)| show(labels.map(str::to_owned), &series)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(count: u64, buckets: &[(f64, u64)]) -> Timing<'static> {
        Timing { labels: BTreeMap::new(), count, seconds: 1.0, buckets: buckets.to_vec() }
    }

    #[test]
    fn percentiles_are_those_of_prometheus() {
        let hundred = timing(100, &[(0.1, 50), (0.2, 90), (1.0, 99)]);
        for (share, expected) in [(0.25, 0.05), (0.5, 0.1), (0.7, 0.15), (0.99, 1.0), (0.999, 1.0)] {
            assert!((hundred.quantile(share).unwrap() - expected).abs() < 1e-9, "{share}: {:?}", hundred.quantile(share));
        }
        assert_eq!(timing(0, &[(0.1, 0)]).quantile(0.5), None);
        assert_eq!(timing(2, &[(0.1, 0), (0.2, 2)]).quantile(0.5), Some(0.15000000000000002));
    }

    #[test]
    fn series_are_summed_by_their_labels() {
        let one = Timing { labels: [("route", "/a"), ("method", "GET"), ("status", "2xx")].into(), ..timing(3, &[(1.0, 3)]) };
        let other = Timing { labels: [("route", "/a"), ("method", "GET"), ("status", "5xx")].into(), ..timing(1, &[(1.0, 1)]) };
        let shown =
            grouped(&[one, other], ["method", "route"], |labels, series| (labels, errors_of(series), Timing::sum(series)));
        let [(labels, errors, sum)] = &shown[..] else { panic!("{} groups", shown.len()) };
        assert_eq!((labels.each_ref().map(String::as_str), *errors, sum.count), (["GET", "/a"], 1, 4));
        assert_eq!(sum.show().mean_ms, Some(500.0));
    }
}
