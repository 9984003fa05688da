//! The `rekap` binary once more, so that cargo builds it with the tests and they never run an old one. It obeys the tests' orders to
//! end itself at a step; the product does not know of such orders.

use std::process::ExitCode;

fn main() -> ExitCode {
    rekap_tests::obey();
    rekap_api::cli::main()
}
