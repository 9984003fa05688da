//! What a server costs, and how figures are put together.

use std::fs;
use std::time::Duration;

use crate::World;

/// The kernel's unit of processor time in `/proc`: a hundredth of a second on every Linux that there is.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used since it started, or since the peak was forgotten.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Processor time of all its threads, the kernel's on their behalf included.
    pub cpu: Duration,
    /// The most resident memory, in bytes.
    pub peak_bytes: u64,
}

impl World {
    /// What the server has used.
    pub fn usage(&self) -> Usage {
        let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.pid())).expect("the server runs");
        let stat = read("stat");
        // The name of the command, in parentheses, is the only field that may hold spaces; user and system time are 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u32 = fields[11..13].iter().map(|ticks| ticks.parse::<u32>().expect("a count")).sum();
        let status = read("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("KiB");
        Usage { cpu: TICK * ticks, peak_bytes: kib << 10 }
    }

    /// Lets the peak of memory be what is resident now.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("one's own child may be told");
    }
}

/// Durations, for their quantiles.
#[derive(Debug, Clone, Default)]
pub struct Durations(Vec<Duration>);

impl Durations {
    /// Takes one in.
    pub fn add(&mut self, one: Duration) {
        self.0.push(one);
    }

    /// Takes in all of another.
    pub fn extend(&mut self, other: Durations) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The quantiles that are asked for, each from 0 to 1, in milliseconds.
    pub fn quantiles_ms<const N: usize>(&self, at: [f64; N]) -> [f64; N] {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        at.map(|at| {
            let place = (at * sorted.len() as f64).ceil() as usize;
            sorted.get(place.clamp(1, sorted.len().max(1)) - 1).map_or(f64::NAN, |one| one.as_secs_f64() * 1e3)
        })
    }
}

/// The median of some figures.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A number from the environment, for the size of a benchmark.
pub fn size(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no count")))
}
