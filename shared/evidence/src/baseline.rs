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

/// The default bundle, checked against the published fact schemas.
///
/// # Errors
/// [`BundleError`] naming file, line and fact; never in a released program, since a test builds it.
pub fn bundle() -> Result<Bundle, BundleError> {
    Bundle::from_files(BASELINE_VERSION, "baseline", &check_files()?, &schemas()?)
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
