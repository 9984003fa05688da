//! The `rekap` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    rekap_api::cli::main()
}
