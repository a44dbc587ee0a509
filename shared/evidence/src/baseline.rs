//! The checks that come with the program: the text of every file in `configs/checks/`, embedded at build time.

use crate::bundle::{Bundle, BundleError};
use crate::check::{CheckFile, CheckFileError};
use crate::schema::FactSchemas;

include!(concat!(env!("OUT_DIR"), "/baseline.rs"));

/// The version of the baseline; raised with every change of a check, because one version names one digest for ever.
pub const BASELINE_VERSION: u64 = 1;

/// The published fact schemas of the probes, `{"<probe>": <JSON Schema>}`.
pub const FACT_SCHEMAS: &str = include_str!("../../../configs/facts.schema.json");

/// The check files, parsed.
///
/// # Errors
/// [`CheckFileError`] naming file and line.
pub fn check_files() -> Result<Vec<CheckFile>, CheckFileError> {
    SOURCES
        .iter()
        .map(|(file, text)| CheckFile::parse(file, text))
        .collect()
}

/// The default bundle, checked against the published fact schemas.
///
/// # Errors
/// [`BundleError`] naming file, line and fact; never in a released program, since a test builds it.
pub fn bundle() -> Result<Bundle, BundleError> {
    Bundle::from_files(BASELINE_VERSION, "baseline", &check_files()?, &schemas()?)
}

/// The published fact schemas, parsed.
///
/// # Errors
/// [`BundleError::Format`] if the embedded document is broken.
pub fn schemas() -> Result<FactSchemas, BundleError> {
    let document =
        crate::json::parse_value(FACT_SCHEMAS.as_bytes()).map_err(BundleError::Format)?;
    FactSchemas::from_json(&document).map_err(|error| BundleError::Engine(error.to_string()))
}
