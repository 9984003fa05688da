//! Prometheus' text format.

use std::fmt::Write;

use rekap_jobs::Histogram;

/// Text in the making. A metric's samples follow its family.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a metric.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP rekap_{name} {help}\n# TYPE rekap_{name} {kind}");
    }

    /// One value of the metric that was begun last.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let _ = match labels.is_empty() {
            true => writeln!(self.0, "rekap_{name} {value}"),
            false => writeln!(self.0, "rekap_{name}{{{}}} {value}", labels.join(",")),
        };
    }

    /// All samples of one histogram of the metric that was begun last.
    pub(super) fn histogram(&mut self, name: &str, labels: &[(&str, &str)], spread: &Histogram) {
        let bucket = format!("{name}_bucket");
        let with = |bound: &str| -> Vec<(String, String)> {
            let own = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            own.chain([("le".to_owned(), bound.to_owned())]).collect()
        };
        let bounds = spread.buckets().map(|(bound, below)| (bound.to_string(), below));
        for (bound, below) in bounds.chain([("+Inf".to_owned(), spread.count())]) {
            let labels = with(&bound);
            let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            self.sample(&bucket, &labels, below as f64);
        }
        self.sample(&format!("{name}_sum"), labels, spread.sum());
        self.sample(&format!("{name}_count"), labels, spread.count() as f64);
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_a_histogram_ends_with_all_its_values() {
        let mut text = Text::default();
        text.family("x", "gauge", "Some x.");
        text.sample("x", &[("a", "say \"\\\"")], 1.5);
        text.sample("x", &[], 2.0);
        let mut spread = Histogram::new(&[0.1]);
        spread.add(0.05);
        spread.add(3.0);
        text.histogram("y", &[("a", "b")], &spread);
        let expected = "# HELP rekap_x Some x.\n# TYPE rekap_x gauge\nrekap_x{a=\"say \\\"\\\\\\\"\"} 1.5\nrekap_x 2\n\
                        rekap_y_bucket{a=\"b\",le=\"0.1\"} 1\nrekap_y_bucket{a=\"b\",le=\"+Inf\"} 2\n\
                        rekap_y_sum{a=\"b\"} 3.05\nrekap_y_count{a=\"b\"} 2\n";
        assert_eq!(text.into_string(), expected);
    }
}
