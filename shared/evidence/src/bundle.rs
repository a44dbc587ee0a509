//! A bundle: checks, parameters, cadences and mapping as one versioned, content-addressed whole.
//!
//! Its bytes are JCS; its digest is the SHA-256 of these bytes and stands in every round judged by it. A stolen
//! collector can change what is expected, never what is read: no bundle carries a command, a path or code.

use std::collections::BTreeMap;

use crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::check::{Check, CheckFile, CheckFileError};
use crate::expression::{Expression, ExpressionError, on_big_stack};
use crate::id::CheckId;
use crate::json::{self, JsonError};
use crate::schema::{FactSchemas, FactType};
use crate::typing;

/// The engine whose semantics the expressions have; any other is not re-performable by us.
pub const ENGINE: &str = "cel/1";
/// Largest bundle accepted, in bytes of JCS, before anything of it is decoded.
pub const MAX_BUNDLE_BYTES: usize = 4 * 1024 * 1024;
/// Most checks of a bundle.
pub const MAX_CHECKS: usize = 2000;

/// Checks with their parameters. Versions are monotonic: one version names one digest for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Format version, 1.
    pub v: u8,
    /// Version of the content, at least 1.
    pub version: u64,
    /// The engine, [`ENGINE`].
    pub engine: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The checks.
    pub checks: BTreeMap<CheckId, Check>,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Longer than [`MAX_BUNDLE_BYTES`] or more checks than [`MAX_CHECKS`].
    #[error("the bundle is too large: {0}")]
    TooLarge(String),
    /// Not the canonical JSON of a bundle.
    #[error("not a bundle")]
    Format(#[source] JsonError),
    /// An engine that this program does not have.
    #[error("the bundle wants engine {0:?}; this program has {ENGINE}")]
    Engine(String),
    /// A check with impossible members.
    #[error("check {check}: {problem}")]
    Check {
        /// The check.
        check: CheckId,
        /// What is wrong.
        problem: String,
    },
    /// A rule whose expression does not compile or does not type-check.
    #[error("check {check}, rule {rule}: {source}")]
    Rule {
        /// The check.
        check: CheckId,
        /// The rule, from 1; 0 for `observed`.
        rule: usize,
        /// What is wrong.
        #[source]
        source: ExpressionError,
    },
    /// An expression of `learns` that does not compile or whose value cannot stand for its parameter.
    #[error("check {check}, learns.{param}: {source}")]
    Learns {
        /// The check.
        check: CheckId,
        /// The parameter.
        param: String,
        /// What is wrong.
        #[source]
        source: ExpressionError,
    },
    /// A check file that cannot be used.
    #[error(transparent)]
    File(#[from] CheckFileError),
}

impl Bundle {
    /// Builds a bundle of check files and checks every expression against the probes' fact schemas.
    ///
    /// # Errors
    /// [`BundleError::File`] naming file, line and fact of the first thing wrong.
    pub fn from_files(
        version: u64,
        name: &str,
        files: &[CheckFile],
        schemas: &FactSchemas,
    ) -> Result<Bundle, BundleError> {
        on_big_stack(|| files.iter().try_for_each(|file| check_file(file, schemas)))
            .map_err(BundleError::Engine)??;
        Bundle::of_known(version, name, files)
    }

    /// As [`Bundle::from_files`] for files whose expressions were checked before: those that come with the program.
    pub(crate) fn of_known(
        version: u64,
        name: &str,
        files: &[CheckFile],
    ) -> Result<Bundle, BundleError> {
        let mut checks = BTreeMap::new();
        for file in files {
            if checks.insert(file.id.clone(), file.check.clone()).is_some() {
                return Err(BundleError::Check {
                    check: file.id.clone(),
                    problem: "defined twice".to_owned(),
                });
            }
        }
        let bundle = Bundle {
            v: 1,
            version,
            engine: ENGINE.to_owned(),
            name: Some(name.to_owned()),
            checks,
        };
        bundle.check_form()?;
        Ok(bundle)
    }

    /// Reads the bytes of a bundle. Expressions are not looked at: see [`Bundle::check_types`].
    ///
    /// # Errors
    /// [`BundleError`] for another size, form, engine or an impossible check.
    pub fn parse(bytes: &[u8]) -> Result<Bundle, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge(format!(
                "{} bytes, at most {MAX_BUNDLE_BYTES}",
                bytes.len()
            )));
        }
        let bundle: Bundle = json::parse_canonical(bytes).map_err(BundleError::Format)?;
        bundle.check_form()?;
        Ok(bundle)
    }

    /// Reads bytes that [`Bundle::parse`] took before, without looking again at their form.
    ///
    /// # Errors
    /// [`BundleError::Format`] if they are no bundle at all.
    pub fn parse_checked(bytes: &[u8]) -> Result<Bundle, BundleError> {
        serde_json::from_slice(bytes).map_err(|error| BundleError::Format(JsonError::Shape(error)))
    }

    fn check_form(&self) -> Result<(), BundleError> {
        if self.v != 1 || self.engine != ENGINE {
            return Err(BundleError::Engine(self.engine.clone()));
        }
        if self.checks.len() > MAX_CHECKS {
            return Err(BundleError::TooLarge(format!(
                "{} checks, at most {MAX_CHECKS}",
                self.checks.len()
            )));
        }
        for (id, check) in &self.checks {
            check
                .check_members()
                .map_err(|problem| BundleError::Check {
                    check: id.clone(),
                    problem,
                })?;
        }
        Ok(())
    }

    /// Checks every expression against the probes' fact schemas, so that a typo can never pass everywhere.
    ///
    /// # Errors
    /// [`BundleError::Rule`] naming check, rule and fact.
    pub fn check_types(&self, schemas: &FactSchemas) -> Result<(), BundleError> {
        on_big_stack(|| {
            for (id, check) in &self.checks {
                for (rule, source) in expressions(check) {
                    check_expression(check, source, rule, schemas).map_err(|source| {
                        BundleError::Rule {
                            check: id.clone(),
                            rule,
                            source,
                        }
                    })?;
                }
                for param in check.learns.keys() {
                    check_learns(check, param, schemas).map_err(|source| BundleError::Learns {
                        check: id.clone(),
                        param: param.clone(),
                        source,
                    })?;
                }
            }
            Ok(())
        })
        .map_err(BundleError::Engine)?
    }

    /// The checks that hosts judge, without those that the collector judges. No bundle to sign: its digest is another.
    #[must_use]
    pub fn for_hosts(mut self) -> Bundle {
        self.checks.retain(|_, check| check.judged_by.is_host());
        self
    }

    /// The checks that the collector judges, likewise.
    #[must_use]
    pub fn for_collector(&self) -> Bundle {
        let own = self.checks.iter();
        let own = own.filter(|(_, check)| !check.judged_by.is_host());
        Bundle {
            v: self.v,
            version: self.version,
            engine: self.engine.clone(),
            name: self.name.clone(),
            checks: own.map(|(id, check)| (id.clone(), check.clone())).collect(),
        }
    }

    /// The bytes that are signed: JCS.
    ///
    /// # Errors
    /// [`BundleError::Format`] if a parameter cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        json::canonical(self).map_err(BundleError::Format)
    }

    /// SHA-256 of the bytes.
    ///
    /// # Errors
    /// As [`Bundle::to_bytes`].
    pub fn digest(&self) -> Result<Digest, BundleError> {
        Ok(Digest::of(&self.to_bytes()?))
    }
}

/// The expressions of a check with their rule number; 0 is `observed`.
fn expressions(check: &Check) -> impl Iterator<Item = (usize, &str)> {
    let rules = check
        .rules
        .iter()
        .enumerate()
        .map(|(i, rule)| (i + 1, rule.condition.as_str()));
    rules.chain([(0, check.observed.as_str())])
}

fn check_expression(
    check: &Check,
    source: &str,
    rule: usize,
    schemas: &FactSchemas,
) -> Result<(), ExpressionError> {
    let expression = Expression::compile(source)?;
    let scope = typing::Scope::of_check(check, schemas)?;
    if rule == 0 {
        scope.check_any(&expression)
    } else {
        scope.check_condition(&expression)
    }
}

/// The value learnt for a parameter must be one that a person could have set.
fn check_learns(check: &Check, param: &str, schemas: &FactSchemas) -> Result<(), ExpressionError> {
    let (Some(source), Some(value)) = (check.learns.get(param), check.params.get(param)) else {
        return Ok(());
    };
    let expression = Expression::compile(source)?;
    typing::Scope::of_check(check, schemas)?.check_learns(&expression, &FactType::of_value(value))
}

/// Checks every expression of one check. Call on a big stack.
pub(crate) fn check_types_of(check: &Check, schemas: &FactSchemas) -> Result<(), ExpressionError> {
    expressions(check)
        .try_for_each(|(rule, source)| check_expression(check, source, rule, schemas))?;
    check
        .learns
        .keys()
        .try_for_each(|param| check_learns(check, param, schemas))
}

fn check_file(file: &CheckFile, schemas: &FactSchemas) -> Result<(), CheckFileError> {
    for (rule, source) in expressions(&file.check) {
        check_expression(&file.check, source, rule, schemas)
            .map_err(|error| file.error_in(source, format!("check {}: {error}", file.id)))?;
    }
    for param in file.check.learns.keys() {
        check_learns(&file.check, param, schemas).map_err(|error| {
            file.error_at("learns", param, format!("check {}: {error}", file.id))
        })?;
    }
    Ok(())
}
