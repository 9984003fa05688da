//! The aggregates that a job may use, and what holds for each when its state is merged.
//!
//! Listed is what has a state of bounded size that merges to what one pass over all rows gives; `query/tests/merge.rs` shows it for
//! every entry. To add one: add a line here, run that test, and name it in `docs/guide.md`.

/// How an aggregate's result may differ when the same rows are cut into other ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accuracy {
    /// Not at all. (A sum or an average of doubles differs by the order of addition, within 1e-9 relative.)
    Exact,
    /// By the rounding of floating point: within 1e-9 relative.
    Float,
    /// Within the error that the sketch states.
    Approximate,
}

/// What a job may do with an aggregate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mergeable {
    /// Its name in the engine.
    pub(super) name: &'static str,
    /// How exact it is.
    pub(super) accuracy: Accuracy,
    /// Whether it needs ORDER BY (to which the record's own place is appended, so that the order is total).
    pub(super) ordered: bool,
}

const fn exact(name: &'static str) -> Mergeable {
    Mergeable { name, accuracy: Accuracy::Exact, ordered: false }
}

const fn float(name: &'static str) -> Mergeable {
    Mergeable { name, accuracy: Accuracy::Float, ordered: false }
}

const fn approximate(name: &'static str) -> Mergeable {
    Mergeable { name, accuracy: Accuracy::Approximate, ordered: false }
}

const fn ordered(name: &'static str) -> Mergeable {
    Mergeable { name, accuracy: Accuracy::Exact, ordered: true }
}

/// Every aggregate that a job may use.
pub(super) const MERGEABLE: [Mergeable; 32] = [
    exact("count"),
    exact("sum"),
    float("avg"),
    exact("min"),
    exact("max"),
    exact("bool_and"),
    exact("bool_or"),
    exact("bit_and"),
    exact("bit_or"),
    exact("bit_xor"),
    float("stddev"),
    float("stddev_pop"),
    float("var"),
    float("var_pop"),
    float("corr"),
    float("covar_samp"),
    float("covar_pop"),
    float("regr_avgx"),
    float("regr_avgy"),
    float("regr_count"),
    float("regr_intercept"),
    float("regr_r2"),
    float("regr_slope"),
    float("regr_sxx"),
    float("regr_sxy"),
    float("regr_syy"),
    approximate("approx_distinct"),
    approximate("approx_median"),
    approximate("approx_percentile_cont"),
    approximate("approx_percentile_cont_with_weight"),
    ordered("first_value"),
    ordered("last_value"),
];

/// The entry of an aggregate, if a job may use it.
pub(super) fn mergeable(name: &str) -> Option<&'static Mergeable> {
    MERGEABLE.iter().find(|aggregate| aggregate.name == name)
}

/// What to write instead of an aggregate that a job may not use.
pub(super) fn instead_of(name: &str) -> &'static str {
    match name {
        "median" | "percentile_cont" | "quantile_cont" => "use approx_percentile_cont(x, 0.5), whose state is bounded",
        "array_agg" | "string_agg" => "use last_value(x ORDER BY time), or an upsert job with one row per element",
        "nth_value" => "use first_value(x ORDER BY time) or last_value(x ORDER BY time)",
        _ => {
            "use count, sum, avg, min, max, bool_and/or, bit_*, stddev, var, corr, covar, regr_*, approx_distinct, \
              approx_percentile_cont, first_value or last_value"
        }
    }
}
