//! The metrics as JSON, with percentiles in place of histograms.

use std::collections::BTreeMap;

use prometheus::proto::{Metric, MetricFamily};
use serde_json::{Map, Value, json};

pub(super) fn report(families: &[MetricFamily]) -> Value {
    let families = Families(families);
    let http = families.timings("collections_http_seconds");
    let errors = http.iter().filter(|series| series.label("status") == "5xx").map(|series| series.count).sum::<u64>();
    let requests = http.iter().map(|series| series.count).sum::<u64>();
    json!({
        "process": {
            "cpuSeconds": families.value("process_cpu_seconds_total"),
            "residentBytes": families.value("process_resident_memory_bytes"),
            "virtualBytes": families.value("process_virtual_memory_bytes"),
            "openFiles": families.value("process_open_fds"),
            "threads": families.value("process_threads"),
        },
        "http": {
            "inFlight": families.value("collections_http_in_flight"),
            "requests": requests,
            "errors": errors,
            "errorRate": if requests == 0 { 0.0 } else { errors as f64 / requests as f64 },
            "time": Timing::sum(&http).show(),
            "routes": grouped(&http, &["method", "route"]),
        },
        "postgres": {
            "time": Timing::sum(&families.timings("collections_postgres_seconds")).show(),
            "statements": grouped(&families.timings("collections_postgres_seconds"), &["statement"]),
            "connections": families.labelled("collections_postgres_connections"),
        },
        "elasticsearch": {
            "breakerOpen": families.value("collections_breaker_open").map(|open| open > 0.0),
            "time": Timing::sum(&families.timings("collections_elasticsearch_seconds")).show(),
            "operations": grouped(&families.timings("collections_elasticsearch_seconds"), &["operation", "outcome"]),
        },
        "lists": families.labelled("collections_searches_total"),
        "sync": {
            "leading": families.value("collections_sync_leading").map(|leading| leading > 0.0),
            "lagSeconds": families.value("collections_sync_lag_seconds"),
            "lagBytes": families.value("collections_sync_lag_bytes"),
            "backlog": families.value("collections_sync_backlog"),
            "fanouts": families.value("collections_sync_fanouts"),
            "deadLetters": families.value("collections_sync_dead_letters"),
        },
    })
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

    /// The values of a metric, each with its labels.
    fn labelled(&self, name: &str) -> Vec<Value> {
        let each = |metric: &Metric| {
            let labels = metric.get_label().iter().map(|label| (label.name().to_owned(), label.value().into()));
            Value::Object(labels.chain([("value".to_owned(), json!(value(metric)))]).collect())
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
    fn sum<'b>(series: impl IntoIterator<Item = &'b Self>) -> Self
    where
        'a: 'b,
    {
        series.into_iter().fold(Self::default(), |mut sum, one| {
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

    fn show(&self) -> Value {
        let ms = |seconds: f64| (seconds * 1_000_000.0).round() / 1_000.0;
        json!({
            "count": self.count,
            "meanMs": (self.count > 0).then(|| ms(self.seconds / self.count as f64)),
            "p50Ms": self.quantile(0.5).map(ms),
            "p95Ms": self.quantile(0.95).map(ms),
            "p99Ms": self.quantile(0.99).map(ms),
        })
    }
}

/// The series by some of their labels.
fn grouped(series: &[Timing<'_>], by: &[&str]) -> Vec<Value> {
    let mut groups: BTreeMap<Vec<&str>, Vec<&Timing<'_>>> = BTreeMap::new();
    for one in series {
        groups.entry(by.iter().map(|label| one.label(label)).collect()).or_default().push(one);
    }
    let show = |(labels, series): (Vec<&str>, Vec<&Timing<'_>>)| {
        let labels = by.iter().zip(labels).map(|(name, value)| ((*name).to_owned(), value.into()));
        let mut shown: Map<String, Value> = labels.collect();
        let errors = series.iter().filter(|one| one.label("status") == "5xx").map(|one| one.count).sum::<u64>();
        if by.contains(&"route") {
            shown.insert("errors".into(), errors.into());
        }
        shown.insert("time".into(), Timing::sum(series).show());
        Value::Object(shown)
    };
    groups.into_iter().map(show).collect()
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
        let shown = grouped(&[one, other], &["method", "route"]);
        assert_eq!(shown.len(), 1);
        assert_eq!(
            (&shown[0]["time"]["count"], &shown[0]["errors"], &shown[0]["time"]["meanMs"]),
            (&json!(4), &json!(1), &json!(500.0))
        );
    }
}
