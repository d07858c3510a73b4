//! The metrics of one moment, for people: the status page and the API.

use std::collections::BTreeMap;

use prometheus::proto::{MetricFamily, MetricType};

/// All counters and gauges of one moment.
#[derive(Debug)]
pub struct Snapshot {
    series: Vec<Series>,
}

/// One series.
#[derive(Debug)]
struct Series {
    metric: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Snapshot {
    pub(super) fn new(families: &[MetricFamily]) -> Self {
        let mut series = Vec::new();
        for family in families {
            for metric in family.get_metric() {
                let value = match family.get_field_type() {
                    MetricType::COUNTER => metric.get_counter().get_value(),
                    MetricType::GAUGE => metric.get_gauge().get_value(),
                    _ => continue,
                };
                let labels = metric.get_label().iter().map(|l| (l.name().to_owned(), l.value().to_owned())).collect();
                series.push(Series { metric: family.name().to_owned(), labels, value });
            }
        }
        Self { series }
    }

    /// Sum over the series of a metric (named without `chronoguard_`) that have all these labels.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(metric).filter(|s| labels.iter().all(|(name, value)| s.label(name) == *value)).map(|s| s.value).sum()
    }

    /// Sums over the series of a metric that agree in these labels, by the labels' values.
    pub fn by<const N: usize>(&self, metric: &str, labels: [&str; N]) -> BTreeMap<[String; N], f64> {
        let mut sums = BTreeMap::new();
        for series in self.of(metric) {
            *sums.entry(labels.map(|l| series.label(l).to_owned())).or_insert(0.0) += series.value;
        }
        sums
    }

    fn of(&self, metric: &str) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(move |s| s.metric.strip_prefix("chronoguard_") == Some(metric))
    }
}

impl Series {
    fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }
}
