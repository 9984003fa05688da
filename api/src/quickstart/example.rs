//! The example that the quickstart runs: the very files of `docs/examples/bitcoin-price-index`.

use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;

/// A file of the example, by its path.
macro_rules! file {
    ($path:literal) => {
        ($path, include_str!(concat!("../../../docs/examples/bitcoin-price-index/", $path)))
    };
}

const FILES: [(&str, &str); 6] = [
    file!("topics.toml"),
    file!("ticks.schema.json"),
    file!("v1/job.toml"),
    file!("v1/query.sql"),
    file!("v2/job.toml"),
    file!("v2/query.sql"),
];

/// Writes the example below `folder`; answers its own folder.
pub(super) fn write(folder: &Path) -> Result<PathBuf, Failure> {
    let example = folder.join("bitcoin-price-index");
    for (path, text) in FILES {
        let file = example.join(path);
        std::fs::create_dir_all(file.parent().unwrap_or(&example))?;
        std::fs::write(file, text)?;
    }
    Ok(example)
}

/// The line of a version's query that says the price.
pub(super) fn formula(version: u32) -> &'static str {
    let queries = FILES.iter().filter(|(path, _)| path.ends_with("query.sql"));
    let query = queries.map(|(_, query)| *query).nth(version as usize - 1).unwrap_or("");
    query.lines().map(|line| line.trim().trim_end_matches(',')).find(|line| line.ends_with("AS price")).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_of_each_version_is_found_in_its_query() {
        assert_eq!(formula(1), "avg(price) AS price");
        assert_eq!(formula(2), "sum(price * volume) / sum(volume) AS price");
    }
}
