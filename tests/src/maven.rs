//! Java libraries that the tests need: fetched from their Maven artifacts at first need, kept in cargo's target folder. Uses nothing but
//! the standard library, so that tests of the rooms can take the file in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::target::target_folder;

/// Held while something is installed: tests of one process need the same jars at the same time.
static INSTALLING: Mutex<()> = Mutex::new(());

/// The folder `name` with the jars of these artifacts (group, name, version) and of what they need; installs them when they are not there.
pub(crate) fn jars(name: &str, artifacts: &[(&str, &str, &str)]) -> PathBuf {
    let found = target_folder().join(name);
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if !found.is_dir() {
        install(&found, artifacts);
    }
    found
}

fn install(folder: &Path, artifacts: &[(&str, &str, &str)]) {
    let fresh = folder.with_extension(format!("{}.part", std::process::id()));
    fs::create_dir_all(&fresh).expect("cargo's target folder takes files");
    let dependency = |(group, name, version): &(&str, &str, &str)| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        )
    };
    let pom = format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>tests</groupId><artifactId>tests</artifactId><version>1</version>\
         <packaging>pom</packaging><dependencies>{}</dependencies></project>",
        artifacts.iter().map(dependency).collect::<String>(),
    );
    let file = fresh.join("pom.xml");
    fs::write(&file, pom).expect("cargo's target folder takes files");
    let ran = Command::new("mvn")
        .args(["-B", "-ntp", "-q", "-f"])
        .arg(&file)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", fresh.display()))
        .output();
    let ran = ran.unwrap_or_else(|e| panic!("these tests need `mvn` and `java` (17 or newer): mvn: {e}"));
    let said = || format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "mvn cannot fetch {artifacts:?}:\n{}", said());
    let java = Command::new("java").arg("-version").output();
    java.unwrap_or_else(|e| panic!("these tests need `java` (17 or newer): {e}"));
    // Whoever was faster has the same jars.
    if fs::rename(&fresh, folder).is_err() {
        _ = fs::remove_dir_all(&fresh);
    }
}
