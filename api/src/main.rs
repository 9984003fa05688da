//! The `rekap` binary.

fn main() {}
