//! What a shell and a manual want to know of the command line: completions and man pages, made from the grammar itself.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;
use super::failure::{Failure, at};
use super::out::Out;

/// `rekap completions SHELL`: the script, on the standard output.
pub(super) fn completions(out: &Out, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rekap", &mut script);
    out.bytes(&script)
}

/// `rekap man DIR`: a page for the program and one for each verb.
pub(super) fn man(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(at(dir))?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(at(dir))
}
