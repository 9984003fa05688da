//! Chance with a seed that a failing run can be repeated with.

/// The variable that repeats a run.
const SEED: &str = "REKAP_SEED";

/// A random generator for the test `name`: seeded by `REKAP_SEED`, else anew; the seed is printed either way.
pub fn seeded(name: &str) -> fastrand::Rng {
    let seed =
        std::env::var(SEED).map_or_else(|_| fastrand::u64(..), |text| text.parse().expect("REKAP_SEED is a u64"));
    eprintln!("{name}: {SEED}={seed}");
    fastrand::Rng::with_seed(seed)
}
