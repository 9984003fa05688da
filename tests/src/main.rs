//! The `rekap` binary once more, so that cargo builds it with the tests and they never run an old one.

use std::process::ExitCode;

fn main() -> ExitCode {
    rekap_api::cli::main()
}
