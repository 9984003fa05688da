//! Cargo's target folder. Uses nothing but the standard library, so that tests of the rooms can take the file in.

use std::path::PathBuf;

/// Where cargo puts what it builds, which is also where tests keep what is worth keeping between runs.
pub fn target_folder() -> PathBuf {
    let exe = std::env::current_exe().expect("a process knows its own path");
    exe.ancestors().nth(3).expect("cargo runs tests from <target>/<profile>/deps").to_owned()
}
