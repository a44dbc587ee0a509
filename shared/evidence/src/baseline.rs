//! What comes with the program, embedded at build time: the checks of `configs/checks/`, and the fact schemas of
//! `configs/facts/` that the agent's probes publish and every bundle is checked against.

use crate::bundle::{Bundle, BundleError};
use crate::check::{CheckFile, CheckFileError};
use crate::schema::FactSchemas;

include!(concat!(env!("OUT_DIR"), "/baseline.rs"));

/// The version of the baseline; raised with every change of a check, because one version names one digest for ever.
pub const BASELINE_VERSION: u64 = 1;

/// The check files, parsed.
///
/// # Errors
/// [`CheckFileError`] naming file and line.
pub fn check_files() -> Result<Vec<CheckFile>, CheckFileError> {
    CHECKS
        .iter()
        .map(|(file, text)| CheckFile::parse(&format!("configs/checks/{file}"), text))
        .collect()
}

/// The default bundle. Its expressions are checked against the fact schemas by a test, once, not at every start.
///
/// # Errors
/// [`BundleError`] naming file and line; never in a released program, since a test builds it.
pub fn bundle() -> Result<Bundle, BundleError> {
    Bundle::of_known(BASELINE_VERSION, "baseline", &check_files()?)
}

/// The published fact schemas of the probes: the files of `configs/facts/`, parsed.
///
/// # Errors
/// [`BundleError`] if an embedded document is broken.
pub fn schemas() -> Result<FactSchemas, BundleError> {
    let mut probes = serde_json::Map::new();
    for (file, text) in FACTS {
        let schema = crate::json::parse_value(text.as_bytes()).map_err(BundleError::Format)?;
        probes.insert(file.trim_end_matches(".json").to_owned(), schema);
    }
    FactSchemas::from_json(&serde_json::Value::Object(probes))
        .map_err(|error| BundleError::Engine(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_that_comes_with_the_program_fits_the_facts_that_come_with_it() {
        let files = check_files().unwrap();
        let checked =
            Bundle::from_files(BASELINE_VERSION, "baseline", &files, &schemas().unwrap()).unwrap();
        assert_eq!(checked, bundle().unwrap());
    }
}
